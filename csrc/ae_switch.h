/* ae_switch.h - how one step is heard: its kernel, its input, or a fade from one to the other.
 *
 * A step passes its input on while it is switched off (its kernel goes on listening) and while it
 * is shed (its kernel rests, unless it has a cheaper way, ae_step_verbs.hold). After a rest the
 * kernel runs unheard until nothing from before it is left in its windows.
 * With the kernel alone heard the output is the kernel's, bit for bit.
 * Latency and cost: see ae_bypass. Thread: audio, no allocation. */
#ifndef AE_SWITCH_H
#define AE_SWITCH_H

#include "ae_bypass.h"
#include "ae_step.h"

typedef struct {
    int active;         /* AE_PARAMETER_ACTIVE, 0 or 1 */
    int was_heard;      /* 1: the last block ended with the kernel's output, 0: with the input */
    int blocks_to_warm; /* the kernel runs unheard this long, after a rest */
    ae_bypass bypass;
} ae_switch;

/* Lay a step's switch out in the graph's arena, on; on a measuring arena nothing is written. */
void ae_switch_lay_out(ae_switch *self, ae_arena *arena, const ae_step *step, int channels,
                       int block_frames);
void ae_switch_reset(ae_switch *self);  /* active stays */
void ae_switch_settle(ae_switch *self); /* begin where it shall be, without a fade */
/* Go on from where another switch of the same step stands; whether it shall be active stays. */
void ae_switch_take_over(ae_switch *self, const ae_switch *from);
/* One block of the step. Sets *heard: 0 when nothing of the kernel is heard in this block. (While
 * an echo filter fades, the suppressor still needs its view: it hides what the filter leaves.) */
void ae_switch_run(ae_switch *self, const ae_step_context *context, const ae_step *step, int shed,
                   int *heard);

#endif
