package bench

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what this process, the PostgreSQL that it started, and a far end
// that it started took of the machine since it began. Memory and the others'
// time are read from /proc (proc(5)), and are zero where there is none.
type usage struct {
	own, database, farEnd time.Duration
	pid                   int // of the far end; 0: it is not ours
}

// used is processor time in seconds, and memory in bytes.
type used struct {
	own, database, farEnd float64
	peak                  int64 // of this process
}

func beginUsage(farEnd int) usage {
	// Makes VmHWM begin anew (proc(5), clear_refs). Where it may not be
	// written the peak is that of the whole life, which is no less.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	u := usage{own: ownTime(), pid: farEnd}
	u.database, u.farEnd = othersTime(farEnd)
	return u
}

func (u usage) end() (used, error) {
	peak, err := peakRSS()
	database, farEnd := othersTime(u.pid)
	return used{
		own: (ownTime() - u.own).Seconds(), database: (database - u.database).Seconds(), farEnd: (farEnd - u.farEnd).Seconds(), peak: peak,
	}, err
}

func ownTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// ticks is how many units of processor time /proc counts in a second: USER_HZ
// is 100 on every Linux.
const ticks = 100

// othersTime adds up the time of the processes below ours, those that have
// ended included: of the database, and of the far end, which has no others.
func othersTime(pid int) (database, farEnd time.Duration) {
	parents, times := map[int]int{}, map[int]time.Duration{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		// The name in brackets may hold anything (proc(5)).
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if len(fields) < 15 {
			continue
		}
		parents[pid], _ = strconv.Atoi(fields[1])
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.ParseInt(field, 10, 64)
			times[pid] += time.Duration(n) * time.Second / ticks
		}
	}
	farEnd = times[pid]
	delete(times, pid)
	for pid, used := range times {
		for above := parents[pid]; above > 1; above = parents[above] {
			if above == os.Getpid() {
				database += used
				break
			}
		}
	}
	return database, farEnd
}

// peakRSS is the most memory that this process has held, in bytes.
func peakRSS() (int64, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, nil //nolint:nilerr // not on Linux
	}
	for line := range strings.Lines(string(raw)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read the peak of memory: %w", err)
			}
			return kilobytes << 10, nil
		}
	}
	return 0, nil
}

// splitAddress takes host:port apart; its error says whose it is.
func splitAddress(whose, address string) (host string, port int, err error) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("the address of %s: %w", whose, err)
	}
	if port, err = strconv.Atoi(number); err != nil {
		return "", 0, fmt.Errorf("the port of %s: %w", whose, err)
	}
	return host, port, nil
}
