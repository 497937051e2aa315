/* A telephone line with a fax at its far end, for programs that drive a fax
 * modem by AT commands (ITU-T T.31, Class 1).
 *
 *   faxline [-s SPEED] [-d DIRECTORY] [SCENARIO...]
 *
 * It opens a pseudo terminal that behaves as a modem, and plays the line and
 * the machine that answers, sample by sample. Each call takes the next scenario
 * of the command line, then of standard input, where each line is one; when
 * there is none left, the fax answers. The scenarios:
 *
 *   answer, busy, no_answer, no_dialtone
 *   human         somebody answers who is no fax, and says nothing
 *   no_ecm        the fax has no error correction
 *   noise         two short bursts in each page
 *   drop N        the line drops after page N was confirmed
 *   unconfirmed N ... before page N is confirmed, which arrived
 *   cut N         ... in the middle of page N
 *
 * Standard output says one JSON object a line: first {"device":"/dev/pts/3"},
 * then one for each call that ended (finish). Received pages are written as
 * TIFF to DIRECTORY/call1.tif and so on. SPEED is how much faster than real
 * time it goes while it is the modem that is waited for; programs that measure
 * time themselves bear 50 (HylaFAX) or 8 (efax).
 *
 * It ends when standard input does. Linked dynamically with libspandsp (LGPL
 * 2.1); no part of Herald is linked with it. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <tiffio.h>
#include <unistd.h>

#include <spandsp.h>
#include <spandsp/expose.h>

enum { RATE = 8000, TICK = 160, SCENARIOS = 256 }; /* samples a second and a step */

struct scenario {
	char name[16];
	int page;
};

static struct {
	int master;                  /* our side of the pseudo terminal */
	int clear_to_send;           /* the modem takes bytes */
	const char *directory;
	double speed;
	struct scenario waiting[SCENARIOS]; /* a ring */
	unsigned first, count;
	t31_state_t *modem;

	/* the call */
	int calling, connected, number_of_call;
	int lost;                    /* the far end is gone */
	char number[64];
	struct scenario now;
	long ring;                   /* samples until it is answered; below 0: it is */
	long hang_up;                /* samples until the line drops; 0: it does not */
	long noise;                  /* samples until the next burst; 0: none comes */
	int bursts, pages, retries;  /* of this page; of this call */
	fax_state_t *fax;
	int result;                  /* of phase E, -1 before */
} line;

static void fail(const char *what) { perror(what); exit(1); }

/* finish ends the call and says what came of it. */
static void finish(const char *how)
{
	t30_stats_t stats = {0};
	char ident[64] = "";
	if (!line.calling)
		return;
	line.calling = line.connected = 0;
	if (line.fax) {
		t30_state_t *t30 = fax_get_t30_state(line.fax);
		t30_get_transfer_statistics(t30, &stats);
		const char *from = t30_get_rx_ident(t30);
		for (int i = 0; from && from[i] && i < (int) sizeof ident - 1; i++)
			ident[i] = from[i] < ' ' || from[i] > '~' || from[i] == '"' || from[i] == '\\' ? '?' : from[i];
		fax_release(line.fax); /* writes the file's end */
		fax_free(line.fax);
		line.fax = NULL;
	}
	printf("{\"call\":%d,\"number\":\"%s\",\"scenario\":\"%s\",\"end\":\"%s\",\"pages\":%d,\"from\":\"%s\","
	       "\"ecm\":%s,\"rate\":%d,\"bad_rows\":%d,\"retries\":%d,\"result\":%d,\"file\":\"%s/call%d.tif\"}\n",
	       line.number_of_call, line.number, line.now.name, line.lost ? "dropped" : how, stats.pages_rx, ident,
	       stats.error_correcting_mode ? "true" : "false", stats.bit_rate, stats.bad_rows,
	       line.retries, line.result, line.directory, line.number_of_call);
	fflush(stdout);
}

static int is(const char *name) { return strcmp(line.now.name, name) == 0; }

/* page_arrived is called in phase D: the page is there, and not confirmed. */
static int page_arrived(t30_state_t *t30, void *data, int result)
{
	(void) t30, (void) data, (void) result;
	line.pages++;
	line.bursts = 0;
	if (is("unconfirmed") && line.pages == line.now.page)
		line.hang_up = 1;
	return T30_ERR_OK;
}

/* frame_seen is called for each frame of T.30, before it is sent. */
static void frame_seen(t30_state_t *t30, void *data, int incoming, const uint8_t *frame, int length)
{
	(void) t30, (void) data;
	if (incoming || length < 3)
		return;
	int kind = frame[2] & 0xfe, page_begins = kind == T30_CFR || kind == T30_MCF;
	line.retries += kind == T30_PPR; /* frames are wanted again */
	if (page_begins && is("noise"))
		line.noise = 4 * RATE; /* behind the frame, and the training of the modems */
	if (page_begins && is("cut") && line.pages + 1 == line.now.page)
		line.hang_up = 3 * RATE; /* the frame takes more than one */
	if (kind == T30_MCF && is("drop") && line.pages == line.now.page)
		line.hang_up = 3 * RATE; /* it is sent by then, and the next page has begun */
}

static void call_ended(t30_state_t *t30, void *data, int result)
{
	(void) t30, (void) data;
	line.result = result;
}

/* answer makes the machine that takes the call. */
static void answer(void)
{
	char file[4096];
	line.connected = 1;
	if (!is("human")) {
		line.fax = fax_init(NULL, FALSE);
		t30_state_t *t30 = fax_get_t30_state(line.fax);
		fax_set_transmit_on_idle(line.fax, TRUE);
		snprintf(file, sizeof file, "%s/call%d.tif", line.directory, line.number_of_call);
		t30_set_tx_ident(t30, "FAR END");
		t30_set_rx_file(t30, file, -1);
		t30_set_ecm_capability(t30, !is("no_ecm"));
		t30_set_supported_modems(t30, T30_SUPPORT_V27TER | T30_SUPPORT_V29 | T30_SUPPORT_V17);
		t30_set_supported_compressions(t30, T30_SUPPORT_T4_1D_COMPRESSION | T30_SUPPORT_T4_2D_COMPRESSION | T30_SUPPORT_T6_COMPRESSION);
		t30_set_supported_resolutions(t30, T30_SUPPORT_STANDARD_RESOLUTION | T30_SUPPORT_FINE_RESOLUTION | T30_SUPPORT_SUPERFINE_RESOLUTION | T30_SUPPORT_R8_RESOLUTION);
		t30_set_supported_image_sizes(t30, T30_SUPPORT_215MM_WIDTH | T30_SUPPORT_255MM_WIDTH | T30_SUPPORT_303MM_WIDTH | T30_SUPPORT_UNLIMITED_LENGTH);
		t30_set_phase_d_handler(t30, page_arrived, NULL);
		t30_set_phase_e_handler(t30, call_ended, NULL);
		t30_set_real_time_frame_handler(t30, frame_seen, NULL);
	}
	t31_call_event(line.modem, AT_CALL_EVENT_CONNECTED);
}

/* dialled begins a call. */
static void dialled(const char *number)
{
	line.calling = 1;
	line.connected = line.lost = line.pages = line.retries = line.bursts = 0;
	line.hang_up = line.noise = 0;
	line.result = -1;
	line.number_of_call++;
	line.ring = RATE / 2;
	int n = 0;
	for (; *number && n < (int) sizeof line.number - 1; number++)
		if (strchr("0123456789*#+", *number))
			line.number[n++] = *number;
	line.number[n] = 0;
	strcpy(line.now.name, "answer");
	if (line.count > 0) {
		line.now = line.waiting[line.first];
		line.first = (line.first + 1) % SCENARIOS;
		line.count--;
	}
}

/* rung says what comes of the dialling. */
static void rung(void)
{
	static const struct { const char *name; int event; } failures[] = {
		{"busy", AT_CALL_EVENT_BUSY}, {"no_answer", AT_CALL_EVENT_NO_ANSWER}, {"no_dialtone", AT_CALL_EVENT_NO_DIALTONE},
	};
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		if (is(failures[i].name)) {
			finish(failures[i].name);
			t31_call_event(line.modem, failures[i].event);
			return;
		}
	answer();
}

static int control(t31_state_t *modem, void *data, int op, const char *argument)
{
	(void) modem, (void) data;
	switch (op) {
	case AT_MODEM_CONTROL_CALL:
		dialled(argument);
		break;
	case AT_MODEM_CONTROL_CTS:
		line.clear_to_send = argument != NULL;
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
	for (int tries = 0; length > 0 && tries < 1000; ) {
		ssize_t written = write(line.master, bytes, length);
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

/* client_is_slow says that the modem has nothing to do but wait for its client:
 * time must not run ahead then, or the far end's patience would end. */
static int client_is_slow(void)
{
	const t31_state_t *m = line.modem;
	int unread = 0;
	if (!line.calling)
		return 1;
	if (ioctl(line.master, TIOCOUTQ, &unread) == 0 && unread > 0)
		return 1;
	switch (m->at_state.at_rx_mode) {
	case AT_MODE_OFFHOOK_COMMAND:
		return m->modem < FAX_MODEM_SILENCE_TX || m->modem > FAX_MODEM_V29_TX || m->modem == FAX_MODEM_SILENCE_RX;
	case AT_MODE_STUFFED:
		return m->tx.in_bytes - m->tx.out_bytes < 256 && !m->tx.final;
	case AT_MODE_HDLC:
		return m->hdlc_tx.len == 0 && !m->hdlc_tx.final;
	}
	return 0;
}

/* step lets a tick pass on the line. */
static void step(void)
{
	int16_t ours[TICK] = {0}, theirs[TICK] = {0};
	int n = t31_tx(line.modem, ours, TICK);
	if (n < TICK)
		memset(ours + n, 0, (TICK - n) * sizeof *ours);
	if (line.calling && !line.connected && (line.ring -= TICK) < 0) {
		rung();
	}
	if (line.noise > 0 && line.connected && (line.noise -= TICK) <= 0 && line.bursts < 2) {
		for (int i = 0; i < TICK; i++)
			ours[i] = (int16_t) fmax(-32767, fmin(32767, ours[i] + 6000 * (2.0 * rand() / RAND_MAX - 1)));
		line.noise = ++line.bursts < 2 ? RATE / 2 : 0;
	}
	if (line.fax && !line.lost) {
		fax_rx(line.fax, ours, TICK);
		n = fax_tx(line.fax, theirs, TICK);
		if (n < TICK)
			memset(theirs + n, 0, (TICK - n) * sizeof *theirs);
	}
	t31_rx(line.modem, theirs, TICK);
	if (line.hang_up > 0 && (line.hang_up -= TICK) <= 0)
		line.lost = 1;
	/* A modem that sends goes on sending; only one that listens notices. */
	if (line.calling && line.lost && line.modem->modem == FAX_MODEM_V21_RX) {
		finish("dropped");
		t31_call_event(line.modem, AT_CALL_EVENT_HANGUP);
	}
}

static void open_terminal(void)
{
	struct termios mode;
	line.master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (line.master < 0 || grantpt(line.master) || unlockpt(line.master))
		fail("faxline: a pseudo terminal");
	const char *name = ptsname(line.master);
	int slave = open(name, O_RDWR | O_NOCTTY); /* kept: without one we would read EIO */
	if (slave < 0 || tcgetattr(slave, &mode))
		fail("faxline: its far side");
	cfmakeraw(&mode);
	if (tcsetattr(slave, TCSANOW, &mode) || chmod(name, 0666))
		fail("faxline: its mode");
	printf("{\"device\":\"%s\"}\n", name);
	fflush(stdout);
}

static void add_scenario(const char *words)
{
	struct scenario s = {"", 1};
	if (sscanf(words, "%15s %d", s.name, &s.page) < 1 || line.count == SCENARIOS)
		return;
	line.waiting[(line.first + line.count++) % SCENARIOS] = s;
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
	line.directory = ".";
	line.speed = 1;
	line.clear_to_send = 1;
	for (int option; (option = getopt(argc, argv, "s:d:")) != -1;)
		switch (option) {
		case 's': line.speed = atof(optarg); break;
		case 'd': line.directory = optarg; break;
		default: return 2;
		}
	if (line.speed < 1)
		line.speed = 1;
	for (int i = optind; i < argc; i++)
		add_scenario(argv[i]);
	TIFFSetWarningHandler(NULL);
	fcntl(0, F_SETFL, O_NONBLOCK);
	line.modem = t31_init(NULL, to_client, NULL, control, NULL, NULL, NULL);
	if (!line.modem)
		fail("faxline: the modem");
	t31_set_transmit_on_idle(line.modem, TRUE);
	open_terminal();

	struct timespec next;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		struct pollfd ready[] = {{0, POLLIN, 0}, {line.master, POLLIN, 0}};
		poll(ready, 2, 0);
		if (ready[0].revents && !read_scenarios())
			return 0;
		char bytes[256];
		ssize_t n = 0;
		while (line.clear_to_send && (n = read(line.master, bytes, sizeof bytes)) > 0)
			t31_at_rx(line.modem, bytes, (int) n);
		step();
		long pause = 20000000L / (client_is_slow() ? 1 : line.speed);
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		next.tv_nsec += pause;
		next.tv_sec += next.tv_nsec / 1000000000L;
		next.tv_nsec %= 1000000000L;
		if (next.tv_sec < now.tv_sec || (next.tv_sec == now.tv_sec && next.tv_nsec < now.tv_nsec))
			next = now; /* late: do not catch up */
		else
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}
