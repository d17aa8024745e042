/* ae_rt.h - the live engine: a PortAudio-shaped callback around ae_graph_process.
 *
 * Every 10 ms frame goes this way:
 *   microphone (same card: the callback's own input; another card: a capture port's bridge)
 *   far end    (a queue fed by any thread, or a loopback capture port)
 *   reference  = the loudspeaker frame before this one: its echo cannot have come back earlier,
 *                and it is what was really played, far end, own monitor and all
 *   graph(microphone, reference) -> A/B comparison -> mute -> processed
 *   loudspeaker = far end + monitor gain * processed, held within full scale
 *   tap queue  <- microphone | reference | processed, for recording and for the application
 * With a loopback far end the reference is that capture itself (and the own monitor), and the far
 * end is not played again.
 *
 * Device blocks of any length are cut into frames. Where they are no multiple of a frame, frames
 * are delayed by what is needed, never by more than one frame; else nothing is added.
 *
 * A new graph is swapped in by pointer: for 80 ms both run (kernels that they share run once, see
 * ae_graph_process_following), the new one unheard for 50 ms, then the output cross-fades; the old
 * one comes back in the trash queue. Parameters go through the graph's own commands and are ramped
 * there.
 *
 * The whole object lies in one block of memory which may be shared by processes at one address: the
 * process that runs the device can be killed at any instruction, ae_rt_recover mends what it left,
 * and the next one goes on with the same graph.
 *
 * Threads: ae_rt_callback on the device's thread: no allocation, lock, file or system call but
 * clock reads and, on a thread's first block, the request for its priority. ae_rt_open by whoever
 * opens the device, while no callback runs. The rest on one control thread. */
#ifndef AE_RT_H
#define AE_RT_H

#include "ae_callback.h"
#include "ae_capture_port.h"
#include "ae_far_queue.h"
#include "ae_graph.h"
#include "ae_load_guard.h"

/* ffi:begin */
typedef struct ae_rt ae_rt;

typedef struct {
    int sample_rate_hz;   /* of the graph and of the loudspeaker */
    int capture_channels; /* of the graph's first input and output, 1 .. 8 */
    int render_channels;  /* of the far end, the reference and the loudspeaker, 1 .. 8 */
    int far_queue_frames; /* room of the far-end queue */
    int tap_frames;       /* room of the tap queue */
    int far_is_loopback;  /* 0/1: the far end is played by somebody else and captured here */
    ae_graph *graph;      /* input 0: microphone; input 1, if there is one: reference */
    ae_capture_port *capture_port; /* or NULL: only for devices with one clock */
    ae_capture_port *far_port;     /* the loopback, or NULL */
} ae_rt_config;

typedef struct {
    int input_channels;      /* of the device; 0: the microphone comes from the capture port */
    int output_channels;     /* of the device; 0: there is no loudspeaker */
    int device_block_frames; /* 0: any */
    int wants_priority;      /* 0/1: the callback's thread is to become a real-time one */
    double buffer_s;         /* a later callback means a gap in the output */
} ae_rt_device;

typedef enum {
    AE_RT_MONITOR = 0, /* value: gain of the processed microphone in the loudspeaker */
    AE_RT_BYPASS = 1,  /* on: 0/1; value: gain of the untouched microphone */
    AE_RT_MUTE = 2,    /* on: 0/1 */
    AE_RT_FAR = 3,     /* on: 0/1, a far end is expected: gaps in it are counted */
    AE_RT_SWAP = 4,    /* graph: new, or collected since it was used; serial */
    AE_RT_STOP = 5,    /* fade out and end the stream */
} ae_rt_command_kind;

typedef struct {
    int kind; /* ae_rt_command_kind */
    int on;
    float value;
    int serial;
    ae_graph *graph;
} ae_rt_command;

typedef enum {
    AE_RT_LOG_STARTED = 0,     /* value: real-time priority, 0: refused, -1: not wanted */
    AE_RT_LOG_XRUN = 1,        /* value: PortAudio's flags */
    AE_RT_LOG_LATE = 2,        /* value: gap in ms */
    AE_RT_LOG_FAR_GAP = 3,     /* the far-end queue ran dry */
    AE_RT_LOG_SHED = 4,        /* value: the new level */
    AE_RT_LOG_SWAPPED = 5,     /* value: serial of the graph that runs now */
    AE_RT_LOG_RECORD_FULL = 6, /* value: frames that the tap queue had no room for; once only */
} ae_rt_log_code;

typedef struct {
    int code;      /* ae_rt_log_code */
    int64_t frame; /* when, in frames through the graph */
    double value;
} ae_rt_log_entry;

typedef struct {
    float peak, held_peak; /* full scale 1 */
    float momentary_lufs;  /* -200: silence */
} ae_rt_level;

typedef struct {
    ae_callback_report callback; /* of the thread that runs the graph */
    int64_t frames;              /* through the graph since create */
    int64_t far_underruns;
    int64_t record_overruns; /* frames that are missing in the tap queue */
    int64_t starved_frames;  /* device frames that no processed frame was there for */
    int serial;              /* of the graph that runs */
    int stopped;             /* 0/1: faded out, the callback has said "complete" */
    int adapter_frames;      /* delay because device blocks are no multiple of a frame */
    ae_rt_level input, output, far;
    ae_load_report load;
} ae_rt_report;

ae_status ae_rt_create(ae_rt **out, const ae_rt_config *config); /* nodes and graph are borrowed */
void ae_rt_destroy(ae_rt *self);
void ae_rt_open(ae_rt *self, const ae_rt_device *device);
/* PortAudio's callback; `user` is the ae_rt. Returns paContinue, or paComplete after AE_RT_STOP. */
int ae_rt_callback(const void *in, void *out, unsigned long frames, const void *time_info,
                   unsigned long flags, void *user);

/* AE_ERROR_FULL when 64 are waiting; gains are finite and at most 100. */
ae_status ae_rt_post(ae_rt *self, const ae_rt_command *command);
/* A graph that is not used any more, or NULL. */
ae_graph *ae_rt_collect(ae_rt *self);
int ae_rt_read_log(ae_rt *self, ae_rt_log_entry *out, int count);
/* Interleaved microphone, reference and processed channels; returns the frames read. */
int ae_rt_read_tap(ae_rt *self, float *interleaved, int frames);
void ae_rt_read(ae_rt *self, ae_rt_report *out);
ae_far_queue *ae_rt_far_queue(ae_rt *self);

/* While no callback runs: what a killed process may have left half done is finished or cleared. */
void ae_rt_recover(ae_rt *self);
/* Before the first callback, or the first after ae_rt_recover: let time pass, the far end is thrown
 * away, the tap gets silence. Does nothing once callbacks come; one that comes meanwhile plays
 * silence. */
void ae_rt_idle(ae_rt *self, int frames);
/* ffi:end */

#endif
