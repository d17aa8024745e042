/* ae_graph.h - the compiled plan: kernels run in order over preallocated buses, one 10 ms block a
 * call.
 *
 * A graph is frozen at create: an array of steps in execution order, each naming its kernel
 * objects, the bus it reads and the bus it writes. ae_graph_process is the one entry, live and
 * offline. It sets flush-to-zero, drains the commands, cleans the inputs (non-finite or |x| > 64
 * becomes 0, counted), runs the steps, copies the outputs, publishes a report, restores the mode.
 *
 * Kernel objects are borrowed: the control side creates them, keeps them alive, and may hand the
 * same echo filter to the next graph, so an adapted filter survives a change of plan.
 *
 * Threads: create/destroy/reset/post on the control thread; process on the audio thread, which
 * neither allocates nor locks; ae_graph_read on one control thread, any time.
 * Cost: the kernels plus a copy per input and output. Latency: sum of the steps' latencies. */
#ifndef AE_GRAPH_H
#define AE_GRAPH_H

#include "ae_step.h"

/* ffi:begin */
typedef struct ae_graph ae_graph;

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
/* Queue a parameter change for the next block; AE_ERROR_FULL when 64 are waiting. */
ae_status ae_graph_post(ae_graph *self, const ae_command *command);
/* Copy the newest report. Loudness and LRA in it are at most 100 ms old, the rest one block. */
void ae_graph_read(ae_graph *self, ae_graph_report *out);
/* Bring the report up to date now; only while no other thread processes. */
void ae_graph_publish(ae_graph *self);
/* ffi:end */

int ae_graph_input_count(const ae_graph *self);
int ae_graph_output_count(const ae_graph *self);
int ae_graph_input_channels(const ae_graph *self, int input);
int ae_graph_output_channels(const ae_graph *self, int output);

#endif
