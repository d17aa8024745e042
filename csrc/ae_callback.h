/* ae_callback.h - what every device callback notes before it works: time, flags, gaps, delays.
 *
 * PortAudio's own flags are counted, and so is what they miss (on some hosts an xrun raises none):
 * a callback that comes later than the device's buffer lasts cannot have been in time. The device's
 * delays come from PortAudio's time stamps, smoothed; 0 where the host gives none.
 * On a thread's first block its priority is raised. A plain struct, part of its owner.
 * Thread: the callback's; no allocation. */
#ifndef AE_CALLBACK_H
#define AE_CALLBACK_H

#include "ae_common.h"

/* ffi:begin */
typedef struct {
    int64_t callbacks; /* the heartbeat */
    int64_t frames;
    int64_t input_underflows, input_overflows;   /* PortAudio's flags */
    int64_t output_underflows, output_overflows; /* PortAudio's flags */
    int64_t late_callbacks;                      /* gaps longer than the device's buffer */
    double input_delay_s;  /* from the converter to the callback, of a block's first frame */
    double output_delay_s; /* from the callback to the converter, of a block's first frame */
    int priority;          /* SCHED_FIFO priority of the thread, 0: ordinary */
} ae_callback_report;
/* ffi:end */

typedef struct {
    ae_callback_report report;
    double buffer_s; /* the device's buffer */
    int wants_priority;
    double last_s; /* time of the callback before, 0: there was none */
} ae_callback;

enum { AE_CALLBACK_LATE = 1, AE_CALLBACK_FLAGGED = 2 };

/* A new thread is going to call: counts go on, times start anew. wants_priority 0/1: ask for a
 * real-time priority on its first block. */
void ae_callback_open(ae_callback *self, double buffer_s, int wants_priority);
/* To be called first, with PortAudio's arguments; `now_s` is ae_host_now_s(). Returns a set of the
 * bits above. */
int ae_callback_enter(ae_callback *self, double now_s, unsigned long frames, const void *time_info,
                      unsigned long flags);

#endif
