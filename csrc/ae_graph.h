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

#include "ae_common.h"
#include "ae_echo_filter.h"
#include "ae_highpass.h"
#include "ae_leveller.h"
#include "ae_limiter.h"
#include "ae_loudness.h"
#include "ae_suppressor.h"

/* ffi:begin */
typedef struct ae_graph ae_graph;

typedef enum {
    AE_STEP_HIGHPASS = 0,   /* nodes[0]: ae_highpass */
    AE_STEP_ECHO = 1,       /* nodes[c]: ae_echo_filter of channel c; side_bus: the far end */
    AE_STEP_SUPPRESSOR = 2, /* nodes[0]: ae_suppressor; source_step: the echo step or -1 */
    AE_STEP_LEVELLER = 3,   /* nodes[0]: ae_leveller; source_step: the suppressor step or -1 */
    AE_STEP_LIMITER = 4,    /* nodes[0]: ae_limiter */
    AE_STEP_LOUDNESS = 5,   /* nodes[0]: ae_loudness; reads input_bus, output_bus is -1 */
} ae_step_kind;

typedef struct {
    int kind;        /* ae_step_kind */
    int input_bus;   /* bus read */
    int side_bus;    /* second bus read (AE_STEP_ECHO), or -1 */
    int output_bus;  /* bus written, may equal input_bus; or -1 */
    int source_step; /* earlier step whose analysis this one uses, or -1 */
    void *nodes[8];  /* borrowed kernel objects */
} ae_step;

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

typedef enum {
    AE_PARAMETER_CUTOFF_HZ = 0,            /* high-pass */
    AE_PARAMETER_ATTENUATION_LIMIT_DB = 1, /* suppressor */
    AE_PARAMETER_DEREVERB = 2,             /* suppressor */
    AE_PARAMETER_TARGET_LUFS = 3,          /* leveller */
    AE_PARAMETER_CEILING_DBTP = 4,         /* limiter */
} ae_parameter;

typedef struct {
    int step;
    int parameter; /* ae_parameter */
    float value;   /* in the parameter's unit; the kernel clamps and ramps */
} ae_command;

typedef union {
    ae_echo_filter_report echo; /* of the first channel */
    ae_suppressor_report suppressor;
    ae_leveller_report leveller;
    ae_limiter_report limiter;
    ae_loudness_report loudness;
} ae_step_report;

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
