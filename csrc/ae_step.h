/* ae_step.h - one step of a plan: which kernel runs, what it reads and writes, and its four verbs.
 *
 * The graph knows nothing of single kernels; each kernel is tied in here by one small adapter with
 * the verbs process, reset, latency and read, and by what may be left out of it under load. A new
 * kernel needs a kind, a report and an adapter. A step holds no pointer to code: its verbs are
 * looked up by its kind, so that plans may lie in memory that processes share.
 * Thread: process and apply on the audio thread, the rest as the kernels say. */
#ifndef AE_STEP_H
#define AE_STEP_H

#include "ae_common.h"
#include "ae_echo_filter.h"
#include "ae_highpass.h"
#include "ae_leveller.h"
#include "ae_limiter.h"
#include "ae_load_guard.h"
#include "ae_loudness.h"
#include "ae_suppressor.h"
#include "ae_sync_delay.h"

/* ffi:begin */
typedef enum {
    AE_STEP_HIGHPASS = 0, /* nodes[0]: ae_highpass */
    AE_STEP_ECHO = 1,     /* nodes[c]: ae_echo_filter of channel c, alike; side_bus: the far end */
    AE_STEP_SUPPRESSOR = 2, /* nodes[0]: ae_suppressor of all channels, or nodes[c]: a mono one of
                               channel c, alike; source_step: the echo step or -1 */
    AE_STEP_LEVELLER = 3,   /* nodes[0]: ae_leveller; source_step: the suppressor step or -1 */
    AE_STEP_LIMITER = 4,    /* nodes[0]: ae_limiter */
    AE_STEP_LOUDNESS = 5,   /* nodes[0]: ae_loudness; reads input_bus, output_bus is -1 */
    AE_STEP_SYNC_DELAY = 6, /* nodes[0]: ae_sync_delay; source_step: the suppressor step or -1 */
} ae_step_kind;

typedef struct {
    int kind;        /* ae_step_kind */
    int input_bus;   /* bus read */
    int side_bus;    /* second bus read (AE_STEP_ECHO), or -1 */
    int output_bus;  /* bus written, may equal input_bus; or -1 */
    int source_step; /* earlier step whose analysis this one uses, or -1 */
    void *nodes[8];  /* borrowed kernel objects, NULL where there is none */
} ae_step;

typedef enum {
    AE_PARAMETER_CUTOFF_HZ = 0,            /* high-pass */
    AE_PARAMETER_ATTENUATION_LIMIT_DB = 1, /* suppressor */
    AE_PARAMETER_DEREVERB = 2,             /* suppressor */
    AE_PARAMETER_TARGET_LUFS = 3,          /* leveller */
    AE_PARAMETER_CEILING_DBTP = 4,         /* limiter */
    AE_PARAMETER_ACTIVE = 5,      /* 0, 1: high-pass, echo, suppressor, leveller; see ae_graph.h */
    AE_PARAMETER_TRANSIENTS = 6,  /* 0, 1: suppressor */
    AE_PARAMETER_MUSIC_GUARD = 7, /* 0, 1: suppressor */
    AE_PARAMETER_DELAY_MS = 8,    /* sync delay */
    AE_PARAMETER_TIER = 9,        /* 0, 1, 2: suppressor */
    AE_PARAMETER_UNAIDED_LIMIT_DB = 10, /* suppressor */
} ae_parameter;

typedef struct {
    int step;
    int parameter; /* ae_parameter */
    float value;   /* in the parameter's unit; the kernel clamps and ramps */
} ae_command;

typedef union {
    ae_echo_filter_report echo; /* of the first channel */
    /* Of all channels. From one suppressor per channel: level and reductions from the mean powers,
     * transients added up, of the rest the largest. */
    ae_suppressor_report suppressor;
    ae_leveller_report leveller;
    ae_limiter_report limiter;
    ae_loudness_report loudness;
    ae_sync_delay_report sync_delay;
} ae_step_report;
/* ffi:end */

typedef struct {
    int channels;
    float *rows[AE_MAX_CHANNELS]; /* one block each */
} ae_bus;

enum { AE_STEP_REFERENCES = 2 }; /* the most that an echo filter takes */

/* What a step may touch while it runs. */
typedef struct {
    int block_frames;
    ae_bus *buses;
    const ae_step *steps;
    const ae_step_report *reports; /* of the steps that ran before */
    const int *heard; /* per step: 0 when it passes its input on all through this block */
    float *references[AE_STEP_REFERENCES]; /* one block of scratch each: a far end's means */
} ae_step_context;

typedef struct {
    void (*process)(const ae_step_context *context, const ae_step *step);
    void (*reset)(const ae_step *step, int channels);
    int (*latency_frames)(const ae_step *step);
    void (*read)(const ae_step *step, ae_step_report *out);
    /* A delay that is wanted, and no latency: now, or with `most` as long as it can be. NULL: none.
     */
    int (*delay_frames)(const ae_step *step, int most);
    /* In place of process while shed; NULL: nothing, the input is passed on. */
    void (*hold)(const ae_step_context *context, const ae_step *step);
    /* When plans change and the kernels are new: begin with what `old`, a step of this kind, has in
     * its memory; then, after a block of both, let the newest of it fade from the old one's to
     * `share` (0 or 1) of the own. NULL: a short run beside the old plan fills the memory. */
    void (*take_over)(const ae_step *step, const ae_step *old);
    void (*blend)(const ae_step *step, const ae_step *old, float share);
    /* Do with less work, the deeper the shed level, or with all of it again; ramped. `eases`:
     * whether this level is lighter than the one before. NULL: it has one way to work. */
    void (*ease)(const ae_step *step, int shed_level);
    int (*eases)(const ae_step *step, int shed_level);
    int has_switch;     /* 1: AE_PARAMETER_ACTIVE applies */
    int shed_level;     /* its work is left out from this ae_shed_level on; 0: never */
    int warm_up_blocks; /* after a pause, until the output holds nothing from before it */
} ae_step_verbs;

/* The kernels of a step: the nodes up to the first NULL. */
int ae_step_node_count(const ae_step *step);
/* The verbs of an ae_step_kind, or NULL. */
const ae_step_verbs *ae_step_verbs_of(int kind);
/* Hand a parameter to the step's kernel; a parameter that it does not have is ignored. */
void ae_step_apply(const ae_step *step, const ae_command *command);

#endif
