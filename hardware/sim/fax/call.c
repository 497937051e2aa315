/* The call, and the fax at its far end. */

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call.h"

struct line line;

double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

void trace(const char *words, ...)
{
	if (!line.traced)
		return;
	va_list arguments;
	va_start(arguments, words);
	fprintf(stderr, "%.3f %6.2f ", seconds(), (double) line.passed / RATE);
	vfprintf(stderr, words, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

int sends(void)
{
	const t31_state_t *m = line.modem;
	return m->at_state.transmit && m->modem >= FAX_MODEM_SILENCE_TX && m->modem <= FAX_MODEM_V29_TX && m->modem != FAX_MODEM_SILENCE_RX;
}

int is(const char *name) { return strcmp(line.now.name, name) == 0; }

void add_scenario(const char *words)
{
	struct scenario s = {"", 1};
	if (sscanf(words, "%15s %d", s.name, &s.page) < 1 || line.count == SCENARIOS)
		return;
	line.waiting[(line.first + line.count++) % SCENARIOS] = s;
}

void dialled(const char *number)
{
	line.calling = 1;
	line.connected = line.lost = line.pages = line.retries = line.bursts = 0;
	line.hang_up = line.noise = line.quiet = line.passed = 0;
	line.waited = 0;
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
	trace("call %d begins: %s", line.number_of_call, line.now.name);
}

void finish(const char *how)
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
	how = line.lost ? "dropped" : how;
	trace("call %d ends: %s", line.number_of_call, how);
	printf("{\"call\":%d,\"number\":\"%s\",\"scenario\":\"%s\",\"end\":\"%s\",\"pages\":%d,\"from\":\"%s\","
	       "\"ecm\":%s,\"rate\":%d,\"bad_rows\":%d,\"retries\":%d,\"result\":%d,\"waited\":%.3f,\"file\":\"%s/call%d.tif\"}\n",
	       line.number_of_call, line.number, line.now.name, how, stats.pages_rx, ident,
	       stats.error_correcting_mode ? "true" : "false", stats.bit_rate, stats.bad_rows,
	       line.retries, line.result, line.waited, line.directory, line.number_of_call);
	fflush(stdout);
}

/* page_arrived is called in phase D: the page is there, and not confirmed. */
static int page_arrived(t30_state_t *t30, void *data, int result)
{
	(void) t30, (void) data;
	line.pages++;
	line.bursts = 0;
	trace("page %d arrived, result %d", line.pages, result);
	if (is("unconfirmed") && line.pages == line.now.page)
		line.hang_up = 1;
	return T30_ERR_OK;
}

/* frame_seen is called for each frame of T.30, before it is sent. */
static void frame_seen(t30_state_t *t30, void *data, int incoming, const uint8_t *frame, int length)
{
	(void) t30, (void) data;
	if (length < 3)
		return;
	trace("%s %s", incoming ? "heard" : "sends", t30_frametype(frame[2]));
	if (incoming)
		return;
	int kind = frame[2] & 0xfe, page_begins = kind == T30_CFR || kind == T30_MCF;
	line.retries += kind == T30_PPR; /* frames are wanted again */
	if (page_begins && is("noise"))
		line.noise = 2 * RATE; /* behind the training of the modems */
	if (page_begins && is("cut") && line.pages + 1 == line.now.page)
		line.hang_up = 3 * RATE; /* the frame takes more than one */
	if (kind == T30_MCF && is("drop") && line.pages == line.now.page)
		line.hang_up = 3 * RATE; /* it is sent by then, and the next page has begun */
}

static void call_ended(t30_state_t *t30, void *data, int result)
{
	(void) t30, (void) data;
	line.result = result;
	trace("the far end is through: %s", t30_completion_code_to_str(result));
}

/* answer makes the machine that takes the call. */
static void answer(void)
{
	char file[4096];
	line.connected = 1;
	printf("{\"answered\":%d}\n", line.number_of_call);
	fflush(stdout);
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

/* page_under_way reports whether the modem sends what is no frame of T.30. */
static int page_under_way(void)
{
	return sends() && line.modem->modem >= FAX_MODEM_V17_TX;
}

static int silent(const int16_t samples[TICK])
{
	static const int16_t nothing[TICK];
	return memcmp(samples, nothing, sizeof nothing) == 0;
}

void step(void)
{
	int16_t ours[TICK] = {0}, theirs[TICK] = {0};
	int n = t31_tx(line.modem, ours, TICK);
	if (n < TICK)
		memset(ours + n, 0, (TICK - n) * sizeof *ours);
	line.passed += TICK;
	if (line.calling && !line.connected && (line.ring -= TICK) < 0)
		rung();
	if (line.noise > 0 && page_under_way() && (line.noise -= TICK) <= 0 && line.bursts < 2) {
		for (int i = 0; i < TICK; i++)
			ours[i] = (int16_t) fmax(-32767, fmin(32767, ours[i] + 6000 * (2.0 * rand() / RAND_MAX - 1)));
		line.noise = ++line.bursts < 2 ? RATE / 2 : 0;
		trace("noise");
	}
	if (line.fax && !line.lost) {
		fax_rx(line.fax, ours, TICK);
		n = fax_tx(line.fax, theirs, TICK);
		if (n < TICK)
			memset(theirs + n, 0, (TICK - n) * sizeof *theirs);
	}
	line.quiet = silent(ours) && silent(theirs) ? line.quiet + TICK : 0;
	t31_rx(line.modem, theirs, TICK);
	if (line.hang_up > 0 && (line.hang_up -= TICK) <= 0) {
		line.lost = 1;
		trace("the line drops");
	}
	/* A modem that sends goes on sending; only one that listens notices. */
	if (line.calling && line.lost && line.modem->modem == FAX_MODEM_V21_RX) {
		finish("dropped");
		t31_call_event(line.modem, AT_CALL_EVENT_HANGUP);
	}
}
