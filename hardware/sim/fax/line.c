/* A telephone line with a fax at its far end, for programs that drive a fax
 * modem by AT commands (ITU-T T.31, Class 1).
 *
 *   faxline [-s SPEED] [-d DIRECTORY] [-l LINK] [-v] [SCENARIO...]
 *
 * It opens a pseudo terminal that behaves as a modem, and plays the line and
 * the machine that answers, sample by sample. Each call takes the next scenario
 * of the command line, then of standard input, where each line is one; when
 * there is none left, the fax answers. The scenarios:
 *
 *   answer, busy, no_answer, no_dialtone
 *   slow          the fax answers, and the call is no faster than real time
 *   human         somebody answers who is no fax, and says nothing
 *   no_ecm        the fax has no error correction
 *   noise         two short bursts in each page
 *   drop N        the line drops after page N was confirmed
 *   unconfirmed N ... before page N is confirmed, which arrived
 *   cut N         ... in the middle of page N
 *
 * Standard output says one JSON object a line: first {"device":"/dev/pts/3"},
 * then {"answered":1} for a call that is, and one for each that ended (finish).
 * Received pages are written as TIFF to DIRECTORY/call1.tif and so on. LINK is
 * a symbolic link to keep to the terminal. With -v, standard error tells what
 * happens on the line.
 *
 * SPEED is how much faster than real time the line may be (pass_time says when
 * it is); programs that measure time themselves bear 50 (HylaFAX) or 8 (efax).
 *
 * It ends when standard input does, or by SIGINT or SIGTERM. Linked dynamically
 * with libspandsp (LGPL 2.1); no part of Herald is linked with it. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <tiffio.h>
#include <unistd.h>

#include "call.h"

/* terminal is the pseudo terminal, and what goes over it. */
static struct {
	int master, slave;
	int changes, users; /* tells of those who open and close it; how many have it */
	int clear_to_send; /* the modem takes bytes */
	int answered;      /* the modem said something since it was told something */
	double turn;       /* when the client's turn began */
} terminal = {.clear_to_send = 1};

static volatile sig_atomic_t stopped;

static void stop(int signal) { stopped = signal; }

static void fail(const char *what) { perror(what); exit(1); }

/* trace_bytes says the beginning of what goes over the terminal. */
static void trace_bytes(const char *who, const char *bytes, size_t length)
{
	char text[80];
	size_t n = 0;
	for (size_t i = 0; i < length && n < sizeof text - 5; i++)
		if (bytes[i] >= ' ' && bytes[i] <= '~')
			text[n++] = bytes[i];
		else
			n += snprintf(text + n, 5, "\\x%02x", (unsigned char) bytes[i]);
	text[n] = 0;
	trace("%s %zu: %s", who, length, text);
}

static int control(t31_state_t *modem, void *data, int op, const char *argument)
{
	(void) modem, (void) data;
	switch (op) {
	case AT_MODEM_CONTROL_CALL:
		dialled(argument);
		break;
	case AT_MODEM_CONTROL_CTS:
		terminal.clear_to_send = argument != NULL;
		break;
	case AT_MODEM_CONTROL_HANGUP:
	case AT_MODEM_CONTROL_ONHOOK:
		finish("hung_up");
		break;
	}
	return 0;
}

static int to_client(at_state_t *at, void *data, const uint8_t *bytes, size_t length)
{
	(void) at, (void) data;
	terminal.answered = 1;
	trace_bytes("modem ", (const char *) bytes, length);
	for (int tries = 0; length > 0 && tries < 1000; ) {
		ssize_t written = write(terminal.master, bytes, length);
		if (written > 0) {
			bytes += written;
			length -= written;
		} else if (errno != EAGAIN && errno != EINTR) {
			break; /* nobody listens */
		} else {
			tries++;
			poll(NULL, 0, 1);
		}
	}
	return 0;
}

/* is_clients_turn says that nothing can happen until the client does its part:
 * reads what the modem said, gives the next command, or the bytes to send. */
static int is_clients_turn(void)
{
	const t31_state_t *m = line.modem;
	int unread = 0;
	if (!line.connected)
		return 0;
	if (ioctl(terminal.slave, FIONREAD, &unread) == 0 && unread > 0)
		return 1;
	switch (m->at_state.at_rx_mode) {
	case AT_MODE_OFFHOOK_COMMAND:
		return !sends() && !m->at_state.ok_is_pending;
	case AT_MODE_STUFFED: /* fill in the middle of a line of pixels would spoil it */
		return m->tx.in_bytes - m->tx.out_bytes < 256 && !m->tx.final;
	case AT_MODE_HDLC: /* it said CONNECT, or the frame is not complete */
		return terminal.answered || m->hdlc_tx.len > 0;
	}
	return 0;
}

/* pause_until waits until then, or until there is something to read. */
static void pause_until(double then)
{
	double left = then - seconds();
	if (left <= 0)
		return;
	struct timespec most = {(time_t) left, (long) ((left - (time_t) left) * 1e9)};
	struct pollfd ready[] = {{0, POLLIN, 0}, {terminal.master, terminal.clear_to_send ? POLLIN : 0, 0}};
	ppoll(ready, 2, &most, NULL);
}

/* pass_time lets time pass on the line, when it may.
 *
 * Both sides have timers: those of the far end, and of the modem, count samples
 * (T.30's T2 is seven seconds of them), those of the client count real seconds
 * (it asks again after three). So that neither runs ahead of the other, however
 * busy the machine is,
 *
 * - time stands still while it is the client's turn, unless the client is gone;
 * - it is as long as it is when nobody is heard, since both wait for a timer;
 * - it may pass quickly otherwise: nobody waits for anything but samples. */
static void pass_time(double speed)
{
	const double tick = (double) TICK / RATE, gone = 5;
	const long pause = 3 * RATE / 2; /* longer than any between two signals */
	static double next;
	double now = seconds();
	if (!is_clients_turn())
		terminal.turn = now;
	else if (now < terminal.turn + gone) {
		if (now - terminal.turn > line.waited)
			line.waited = now - terminal.turn;
		pause_until(now + 0.001);
		return;
	}
	step();
	int waits = !line.calling || is("slow") || (line.fax && !line.lost && line.quiet > pause);
	next += tick / (waits || is_clients_turn() ? 1 : speed);
	if (next < now)
		next = now; /* late: do not catch up */
	pause_until(next);
}

/* watch hangs up when the last client closes the terminal, as a modem does when
 * DTR drops: one that is killed says nothing. */
static void watch(void)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(terminal.changes, events, sizeof events);
	for (ssize_t at = 0; at < n; ) {
		const struct inotify_event *e = (const struct inotify_event *) (events + at);
		terminal.users += (e->mask & IN_OPEN) ? 1 : -1;
		at += sizeof *e + e->len;
	}
	if (n <= 0 || terminal.users > 0 || !line.calling)
		return;
	trace("the client is gone");
	finish("hung_up");
	t31_call_event(line.modem, AT_CALL_EVENT_HANGUP);
	tcflush(terminal.slave, TCIFLUSH); /* the next one is not told */
}

static void open_terminal(const char *link)
{
	struct termios mode;
	terminal.master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (terminal.master < 0 || grantpt(terminal.master) || unlockpt(terminal.master))
		fail("faxline: a pseudo terminal");
	const char *name = ptsname(terminal.master);
	terminal.slave = open(name, O_RDWR | O_NOCTTY); /* kept: without one we would read EIO */
	if (terminal.slave < 0 || tcgetattr(terminal.slave, &mode))
		fail("faxline: its far side");
	cfmakeraw(&mode);
	if (tcsetattr(terminal.slave, TCSANOW, &mode) || chmod(name, 0666))
		fail("faxline: its mode");
	terminal.changes = inotify_init1(IN_NONBLOCK);
	if (terminal.changes < 0 || inotify_add_watch(terminal.changes, name, IN_OPEN | IN_CLOSE) < 0)
		fail("faxline: who has it");
	if (link && ((unlink(link) && errno != ENOENT) || symlink(name, link)))
		fail("faxline: the link");
	printf("{\"device\":\"%s\"}\n", name);
	fflush(stdout);
}

/* hear gives the modem what the client wrote. */
static void hear(void)
{
	char bytes[256];
	ssize_t n;
	while (terminal.clear_to_send && (n = read(terminal.master, bytes, sizeof bytes)) > 0) {
		trace_bytes("client", bytes, n);
		terminal.answered = 0;
		terminal.turn = seconds();
		t31_at_rx(line.modem, bytes, (int) n);
	}
}

/* read_scenarios takes lines of standard input; it is false at its end. */
static int read_scenarios(void)
{
	static char words[256];
	static size_t length;
	ssize_t n = read(0, words + length, sizeof words - 1 - length);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	length += n;
	words[length] = 0;
	char *end;
	while ((end = strchr(words, '\n'))) {
		*end = 0;
		add_scenario(words);
		length -= end + 1 - words;
		memmove(words, end + 1, length + 1);
	}
	if (length == sizeof words - 1)
		length = 0; /* no line is so long */
	return 1;
}

int main(int argc, char **argv)
{
	const char *link = NULL;
	double speed = 1;
	line.directory = ".";
	for (int option; (option = getopt(argc, argv, "s:d:l:v")) != -1;)
		switch (option) {
		case 's': speed = atof(optarg); break;
		case 'd': line.directory = optarg; break;
		case 'l': link = optarg; break;
		case 'v': line.traced = 1; break;
		default: return 2;
		}
	if (speed < 1)
		speed = 1;
	for (int i = optind; i < argc; i++)
		add_scenario(argv[i]);
	TIFFSetWarningHandler(NULL);
	fcntl(0, F_SETFL, O_NONBLOCK);
	line.modem = t31_init(NULL, to_client, NULL, control, NULL, NULL, NULL);
	if (!line.modem)
		fail("faxline: the modem");
	t31_set_transmit_on_idle(line.modem, TRUE);
	open_terminal(link);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	while (!stopped && read_scenarios()) {
		hear();
		watch();
		pass_time(speed);
	}
	if (link)
		unlink(link);
	return 0;
}
