/* The call that the modem of faxline has, and the line it goes over. */

#ifndef CALL_H
#define CALL_H

#include <stdint.h>

#include <spandsp.h>
#include <spandsp/expose.h>

enum { RATE = 8000, TICK = 160, SCENARIOS = 256 }; /* samples a second and a step */

struct scenario {
	char name[16];
	int page;
};

/* line is the one line that there is. */
extern struct line {
	const char *directory;
	int traced;
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
	long noise;                  /* samples of page until the next burst; 0: none comes */
	long quiet;                  /* samples since either side was heard */
	int64_t passed;              /* samples since it began */
	int bursts, pages, retries;  /* of this page; of this call */
	double waited;               /* seconds that it stood still for its client, at most */
	fax_state_t *fax;
	int result;                  /* of phase E, -1 before */
} line;

/* is reports whether that is the scenario of the call. */
int is(const char *name);

/* add_scenario puts one, such as "drop 1", behind those that wait. */
void add_scenario(const char *words);

/* dialled begins a call. */
void dialled(const char *number);

/* finish ends the call and says what came of it. */
void finish(const char *how);

/* step lets TICK samples pass on the line, each way. */
void step(void);

/* sends reports whether the modem has a carrier or a silence to send still. */
int sends(void);

/* seconds are of a clock that only goes forward. */
double seconds(void);

/* trace says what happens on standard error, when it is wanted. */
void trace(const char *words, ...) __attribute__((format(printf, 1, 2)));

#endif
