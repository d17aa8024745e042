/* ae_graph.h - the compiled plan: kernels run in order over preallocated buses, one 10 ms block a
 * call.
 *
 * A graph is frozen at create: an array of steps in execution order, each naming its kernel
 * objects, the bus it reads and the bus it writes. ae_graph_process is the one entry, live and
 * offline. It sets flush-to-zero, drains the commands, cleans the inputs (non-finite or |x| > 64
 * becomes 0, counted), runs the steps, copies the outputs, publishes a report, restores the mode.
 *
 * Switches: a stage that is not active (AE_PARAMETER_ACTIVE) passes its input on, as late as its
 * output would be; its kernel goes on listening, so that it is adapted when it comes back. An echo
 * step that is not active is not shown to the suppressor either. The same way around is taken by a
 * stage that is shed because time is short. Both fade over one block. Between its nets, which go
 * first, the suppressor fades by itself.
 *
 * Changing the plan: kernel objects are borrowed, so the next graph may have the same ones along a
 * common prefix, and an adapted filter survives. On the audio thread:
 *     ae_graph_take_over(next, old);                    once, before its first block, then
 *     ae_graph_process(next, in, next_out);             per block of a cross-fade:
 *     ae_graph_process_following(old, next, in, old_out);
 * The delay lines of kernels that only the next graph has are empty: let it run
 * AE_GRAPH_WARM_UP_BLOCKS unheard before the cross-fade begins, or it begins with a click.
 * A sync delay holds seconds: one that is made anew gets what is in the old one's line, and the
 * cross-fade takes place in the line as well, where it is heard when its time has come.
 *
 * Threads: create/destroy/reset/post on the control thread; process, following, take_over and
 * set_shed on the audio thread, which neither allocates nor locks; ae_graph_read on one control
 * thread, any time. create does not touch the kernels: another graph may be running them.
 * Cost: the kernels plus a copy per input and output. Latency: sum of the steps' latencies. */
#ifndef AE_GRAPH_H
#define AE_GRAPH_H

#include "ae_step.h"

/* ffi:begin */
typedef struct ae_graph ae_graph;

/* The next graph runs unheard this long before a cross-fade. */
enum { AE_GRAPH_WARM_UP_BLOCKS = 5 };

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int bus_count;
    const int *bus_channels; /* 1 .. 8 each */
    int input_count;
    const int *input_buses;
    int output_count;
    const int *output_buses;
    int step_count; /* 0 .. 32 */
    const ae_step *steps;
} ae_graph_config;

typedef struct {
    int64_t frames;           /* processed since create or reset */
    int64_t non_finite_count; /* input samples replaced by zero */
    int64_t commands_applied;
    int64_t fault_count; /* blocks in which a kernel gave a non-finite sample: 0 unless there is a
                            bug */
    float input_peak;  /* largest |sample| of the first input since create or reset, full scale 1 */
    float output_peak; /* the same of the first output */
    ae_step_report steps[32];
} ae_graph_report;

ae_status ae_graph_create(ae_graph **out, const ae_graph_config *config);
void ae_graph_destroy(ae_graph *self); /* the kernel objects stay the caller's */
void ae_graph_reset(ae_graph *self);   /* resets the kernels too */
int ae_graph_block_frames(const ae_graph *self);
int ae_graph_latency_frames(const ae_graph *self); /* of the first output */
/* One block. inputs: a channel pointer for every channel of every input bus in order, NULL for
 * silence; outputs likewise, never NULL. An output may equal an input. */
void ae_graph_process(ae_graph *self, const float *const *inputs, float *const *outputs);
/* Leave work out from the next block on:
 *   0 none
 *   1 the large net; the small one takes its place
 *   2 and the small one: the suppressor does what it does without nets
 *   3 and the meters
 *   4 and the leveller, which holds its gain
 *   5 and the suppressor, which passes its input on
 * Coming back, the suppressor listens 50 ms unheard, and a net 0.3 s. */
void ae_graph_set_shed(ae_graph *self, int level);
/* Bit n: level n leaves no more out than the level before. */
int ae_graph_idle_levels(const ae_graph *self);
/* Go on where `old` stands: switches and delays of the steps whose kernels both have, and the
 * memory of a sync delay that is made anew. */
void ae_graph_take_over(ae_graph *self, const ae_graph *old);
/* One block of a graph that is being replaced: steps whose kernels the leader has too are not run
 * again, their output is copied from the leader, which has processed the same block just before;
 * commands are left alone. The steps of both must write a bus each. */
void ae_graph_process_following(ae_graph *self, ae_graph *leader, const float *const *inputs,
                                float *const *outputs);
/* Queue a parameter change for the next block; AE_ERROR_FULL when 64 are waiting. */
ae_status ae_graph_post(ae_graph *self, const ae_command *command);
/* Copy the newest report: zeros before the first block, unless published. Loudness and LRA in it
 * are at most 100 ms old, the rest one block. */
void ae_graph_read(ae_graph *self, ae_graph_report *out);
/* Bring the report up to date now; only while no other thread processes. */
void ae_graph_publish(ae_graph *self);
/* ffi:end */

/* The wanted delay of the first output, on top of the latency: now, and the longest it can become.
 */
int ae_graph_delay_frames(const ae_graph *self);
int ae_graph_most_delay_frames(const ae_graph *self);
int ae_graph_input_count(const ae_graph *self);
int ae_graph_output_count(const ae_graph *self);
int ae_graph_input_channels(const ae_graph *self, int input);
int ae_graph_output_channels(const ae_graph *self, int output);

#endif
