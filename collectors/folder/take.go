package folder

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"herald/collectors"
	"herald/matcher/eventform"
	"herald/problem"
)

// unreadable is an error that ends a file: what follows cannot be read.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// take reads a file in taking to its end and moves it away.
func (f *Folder) take(ctx context.Context, turn *collectors.Turn, types eventform.Types, name string) error {
	var at position
	if err := turn.Position(&at); err != nil {
		return err
	}
	path := f.path(taking, name)
	at, err := f.resume(at, path, name)
	if err != nil {
		return err
	}
	for {
		before, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("look at a file: %w", err)
		}
		into := done
		err = f.read(ctx, turn, types, path, &at)
		var end unreadable
		if errors.As(err, &end) {
			into = failed
			if err = f.buryEnd(ctx, turn, &at, end); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		after, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("look at a file: %w", err)
		}
		if into == done && changed(before, after) {
			continue // somebody has written on: what is new is read too
		}
		if err := f.finish(ctx, turn, at, into); err != nil {
			return err
		}
		return turn.Take(ctx, nil, position{})
	}
}

func changed(before, after fs.FileInfo) bool {
	return before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime())
}

// resume is where the reading of a file begins: where it was cut off, if what
// was there then still is, or else at the file's beginning.
func (f *Folder) resume(at position, path, name string) (position, error) {
	if at.File == name {
		now, _, err := hash(path, at.Size)
		if err != nil {
			return at, err
		}
		if now == at.Reading {
			return at, nil
		}
	}
	reading, size, err := hash(path, -1)
	return position{File: name, Reading: reading, Size: size}, err
}

// hash is that of a file's first size bytes, all of them when size is below
// zero: 128 bits in hex, which tell files apart.
func hash(path string, size int64) (text string, n int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("open a file: %w", err)
	}
	defer file.Close()
	var in io.Reader = file
	if size >= 0 {
		in = io.LimitReader(file, size)
	}
	h := sha256.New()
	if n, err = io.Copy(h, in); err != nil {
		return "", 0, fmt.Errorf("read a file: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), n, nil
}

// read takes what is behind the position, page by page.
func (f *Folder) read(ctx context.Context, turn *collectors.Turn, types eventform.Types, path string, at *position) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open a file: %w", err)
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 64<<10)
	if err := skipMark(in); err != nil {
		return err
	}
	records, err := f.records(in, at.File, types)
	if err != nil {
		return err
	}
	var items []collectors.Item
	number := 0
	hand := func() error {
		if len(items) == 0 {
			return nil
		}
		next := *at
		next.Records = number
		if err := turn.Take(ctx, items, next); err != nil {
			return err
		}
		*at, items = next, nil
		return nil
	}
	for {
		r, err := records.next()
		if errors.Is(err, io.EOF) {
			return hand()
		}
		if err != nil {
			if handing := hand(); handing != nil {
				return handing
			}
			return err
		}
		if number++; number <= at.Records {
			continue
		}
		items = append(items, r.item(*at, number))
		if len(items) == f.cfg.Page {
			if err := hand(); err != nil {
				return err
			}
		}
	}
}

// mark is the byte order mark of UTF-8.
const mark = "\xef\xbb\xbf"

// skipMark passes over a byte order mark; those of other encodings end the file.
func skipMark(in *bufio.Reader) error {
	head, err := in.Peek(len(mark))
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read a file: %w", err)
	}
	if string(head) == mark {
		_, err := in.Discard(len(mark))
		return err
	}
	if len(head) >= 2 && (string(head[:2]) == "\xff\xfe" || string(head[:2]) == "\xfe\xff") {
		return unreadable{errors.New("the file is in UTF-16: write it in UTF-8")}
	}
	return nil
}

// item is a record as the number-th of its file.
func (r record) item(at position, number int) collectors.Item {
	item := r.named(at.Reading + ":" + strconv.Itoa(number))
	item.Batch, item.Place = at.Reading, at.File+":"+strconv.Itoa(r.line)
	return item
}

// named is a record with its key, which is its id where it has no other.
func (r record) named(key string) collectors.Item {
	if r.event.ID == "" && r.given {
		r.event.ID = key
	}
	return collectors.Item{Event: r.event, Err: r.err, Original: r.text, Key: key}
}

// buryEnd keeps the reason why a file could not be read to its end with what
// was refused of it.
func (f *Folder) buryEnd(ctx context.Context, turn *collectors.Turn, at *position, end unreadable) error {
	why := end.Error()
	var p *problem.Error
	if errors.As(end, &p) {
		why = p.Message
	}
	reason := "the file cannot be read: " + why
	if at.Records > 0 {
		reason = "the rest of the file cannot be read: " + why + "; what comes before is taken: mend the rest and give it as a file of its own"
	}
	return turn.Take(ctx, []collectors.Item{{
		Err: errors.New(reason), Key: at.Reading + ":end", Batch: at.Reading, Place: at.File,
	}}, *at)
}

// finish writes down what was refused and moves the file away. It can be done
// again after it was cut off anywhere.
func (f *Folder) finish(ctx context.Context, turn *collectors.Turn, at position, into string) error {
	target, err := f.free(into, at.File)
	if err != nil {
		return err
	}
	if err := f.writeErrors(ctx, turn, at, target); err != nil {
		return fmt.Errorf("write what was refused: %w", err)
	}
	if err := os.Rename(f.path(taking, at.File), target); err != nil {
		return fmt.Errorf("move a file: %w", err)
	}
	return nil
}

// free is the path of a file in a folder, with a time in its name where another
// is there.
func (f *Folder) free(into, name string) (string, error) {
	ending := filepath.Ext(name)
	for n := 0; ; n++ {
		path := f.path(into, name)
		if n > 0 {
			stamp := f.cfg.Now().UTC().Format("20060102T150405")
			if n > 1 {
				stamp += "-" + strconv.Itoa(n)
			}
			path = f.path(into, strings.TrimSuffix(name, ending)+"."+stamp+ending)
		}
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", fmt.Errorf("look for a place: %w", err)
		}
	}
}

// refusedLine is a line of an error file.
type refusedLine struct {
	Line     int    `json:"line,omitempty"`
	Reason   string `json:"reason"`
	Original string `json:"original"`
	Cut      bool   `json:"cut,omitempty"` // the original was longer
}

// writeErrors writes the dead letters of a reading beside target; no file when
// there are none.
func (f *Folder) writeErrors(ctx context.Context, turn *collectors.Turn, at position, target string) (err error) {
	var file *os.File
	temporary := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+errorsSuffix)
	defer func() {
		if file != nil {
			err = errors.Join(err, file.Close())
			if err == nil {
				err = os.Rename(temporary, target+errorsSuffix)
			} else {
				_ = os.Remove(temporary) // what was wrong is told
			}
		}
	}()
	var out *json.Encoder
	err = turn.Buried(ctx, at.Reading, func(l collectors.Letter) (err error) {
		if file == nil {
			if file, err = os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640); err != nil {
				return err
			}
			out = json.NewEncoder(file)
			out.SetEscapeHTML(false)
		}
		line, _ := strconv.Atoi(l.Place[strings.LastIndexByte(l.Place, ':')+1:]) // 0: of the whole file
		return out.Encode(refusedLine{line, l.Reason, strings.ToValidUTF8(string(l.Original), "\uFFFD"), l.Cut})
	})
	if err == nil && file != nil {
		err = file.Sync()
	}
	return err
}
