#include "ae_graph.h"

#include "ae_math.h"
#include "ae_ring.h"
#include "ae_switch.h"

#include <float.h>

enum {
    k_max_steps = 32,
    k_max_buses = 64,
    k_command_capacity = 64,
    k_commands_per_block = 16,  /* bounds the work of one block */
    k_blocks_per_loudness = 10, /* integrated loudness and LRA walk histograms: every 100 ms */
};

/* +36 dBFS: louder than any float file with headroom, quieter than any overflow of a power. */
static const float k_largest_sample = 64.0f;

struct ae_graph {
    int block_frames;
    int latency_frames;
    int bus_count, step_count, input_count, output_count;
    int *input_buses, *output_buses;
    ae_bus *buses;
    ae_step *steps;
    ae_switch *switches; /* one per step */
    int *heard;          /* per step, in this block */
    int shed_level;
    int has_begun;  /* 0: before the first block, where there is nothing to fade from */
    int blocks_led; /* while another graph follows this one */
    ae_step_context context;
    ae_ring *commands;
    ae_triple *published;
    int blocks_to_loudness;
    ae_graph_report report; /* the audio thread's own */
    ae_graph_report newest; /* the reading thread's last copy */
};

/* ---- create: check the plan, lay out one allocation, sum the latency ---- */

static int bus_exists(const ae_graph_config *config, int index)
{
    return index >= 0 && index < config->bus_count;
}

static int step_is_valid(const ae_graph_config *config, int index)
{
    const ae_step *step = &config->steps[index];
    if (ae_step_verbs_of(step->kind) == NULL) return 0;
    if (!bus_exists(config, step->input_bus) || step->source_step >= index) return 0;
    const int channels = config->bus_channels[step->input_bus];
    const int nodes = ae_step_node_count(step);
    if (nodes < (step->kind == AE_STEP_ECHO ? channels : 1)) return 0;
    if (step->kind == AE_STEP_SUPPRESSOR && nodes != 1 && nodes != channels) return 0;
    if (step->kind == AE_STEP_ECHO && !bus_exists(config, step->side_bus)) return 0;
    if (step->source_step >= 0) {
        const int wanted = step->kind == AE_STEP_SUPPRESSOR ? AE_STEP_ECHO : AE_STEP_SUPPRESSOR;
        const ae_step *source = &config->steps[step->source_step];
        if (source->kind != wanted || config->bus_channels[source->input_bus] != channels) return 0;
    }
    if (step->kind == AE_STEP_LOUDNESS) return step->output_bus == -1;
    return bus_exists(config, step->output_bus) &&
           config->bus_channels[step->output_bus] == channels;
}

static int config_is_valid(const ae_graph_config *config)
{
    if (config == NULL || config->sample_rate_hz < AE_MIN_RATE_HZ ||
        config->sample_rate_hz > AE_MAX_RATE_HZ || config->bus_count < 1 ||
        config->bus_count > k_max_buses || config->step_count < 0 ||
        config->step_count > k_max_steps || config->input_count < 1 || config->output_count < 1) {
        return 0;
    }
    for (int b = 0; b < config->bus_count; b++) {
        if (config->bus_channels[b] < 1 || config->bus_channels[b] > AE_MAX_CHANNELS) return 0;
    }
    for (int i = 0; i < config->input_count; i++) {
        if (!bus_exists(config, config->input_buses[i])) return 0;
    }
    for (int i = 0; i < config->output_count; i++) {
        if (!bus_exists(config, config->output_buses[i])) return 0;
    }
    for (int s = 0; s < config->step_count; s++) {
        if (!step_is_valid(config, s)) return 0;
    }
    return 1;
}

static void lay_out_switches(ae_arena *arena, const ae_graph_config *config, ae_switch *switches)
{
    for (int s = 0; s < config->step_count; s++) {
        const ae_step *step = &config->steps[s];
        ae_switch_lay_out(switches == NULL ? NULL : &switches[s], arena, step,
                          config->bus_channels[step->input_bus],
                          ae_block_frames(config->sample_rate_hz));
    }
}

/* Takes the planes; with a real arena it also points the object at them. */
static ae_graph *layout(ae_arena *arena, const ae_graph_config *config)
{
    ae_graph *self = AE_TAKE(arena, 1, ae_graph);
    ae_bus *buses = AE_TAKE(arena, config->bus_count, ae_bus);
    ae_step *steps = AE_TAKE(arena, config->step_count, ae_step);
    ae_switch *switches = AE_TAKE(arena, config->step_count, ae_switch);
    int *heard = AE_TAKE(arena, config->step_count, int);
    int *inputs = AE_TAKE(arena, config->input_count, int);
    int *outputs = AE_TAKE(arena, config->output_count, int);
    float *references[AE_STEP_REFERENCES];
    for (int i = 0; i < AE_STEP_REFERENCES; i++) {
        references[i] = AE_TAKE(arena, ae_block_frames(config->sample_rate_hz), float);
    }
    for (int b = 0; b < config->bus_count; b++) {
        for (int c = 0; c < config->bus_channels[b]; c++) {
            float *row = AE_TAKE(arena, ae_block_frames(config->sample_rate_hz), float);
            if (self != NULL) buses[b].rows[c] = row;
        }
        if (self != NULL) buses[b].channels = config->bus_channels[b];
    }
    lay_out_switches(arena, config, switches);
    if (self == NULL) return NULL;
    self->buses = buses;
    self->steps = steps;
    self->switches = switches;
    self->heard = heard;
    self->input_buses = inputs;
    self->output_buses = outputs;
    self->context = (ae_step_context){
        .block_frames = ae_block_frames(config->sample_rate_hz),
        .buses = buses,
        .steps = steps,
        .reports = self->report.steps,
        .heard = heard,
        .references = {references[0], references[1]},
    };
    return self;
}

static void copy_plan(ae_graph *self, const ae_graph_config *config)
{
    self->block_frames = ae_block_frames(config->sample_rate_hz);
    self->bus_count = config->bus_count;
    self->step_count = config->step_count;
    self->input_count = config->input_count;
    self->output_count = config->output_count;
    for (int s = 0; s < config->step_count; s++) self->steps[s] = config->steps[s];
    for (int i = 0; i < config->input_count; i++) self->input_buses[i] = config->input_buses[i];
    for (int i = 0; i < config->output_count; i++) self->output_buses[i] = config->output_buses[i];
}

/* What one step makes later: its latency, or the delay that it is there for. */
static int latency_of(const ae_step *step)
{
    return ae_step_verbs_of(step->kind)->latency_frames(step);
}

static int delay_of(const ae_step *step)
{
    const ae_step_verbs *verbs = ae_step_verbs_of(step->kind);
    return verbs->delay_frames == NULL ? 0 : verbs->delay_frames(step, 0);
}

static int most_delay_of(const ae_step *step)
{
    const ae_step_verbs *verbs = ae_step_verbs_of(step->kind);
    return verbs->delay_frames == NULL ? 0 : verbs->delay_frames(step, 1);
}

/* The sum along the way to the first output. */
static int sum_frames(const ae_graph *self, int (*frames_of)(const ae_step *step))
{
    int of_bus[k_max_buses] = {0};
    for (int s = 0; s < self->step_count; s++) {
        const ae_step *step = &self->steps[s];
        if (step->output_bus < 0) continue;
        of_bus[step->output_bus] = of_bus[step->input_bus] + frames_of(step);
    }
    return of_bus[self->output_buses[0]];
}

ae_status ae_graph_create(ae_graph **out, const ae_graph_config *config)
{
    *out = NULL;
    if (!config_is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_arena measure = {0};
    layout(&measure, config);
    ae_arena arena = {ae_allocate(measure.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_graph *self = layout(&arena, config);
    copy_plan(self, config);
    self->latency_frames = sum_frames(self, latency_of);
    ae_status status = ae_ring_create(&self->commands, (int)sizeof(ae_command), k_command_capacity);
    if (status == AE_OK) {
        status = ae_triple_create(&self->published, (int)sizeof(ae_graph_report));
    }
    if (status != AE_OK) {
        ae_graph_destroy(self);
        return status;
    }
    *out = self;
    return AE_OK;
}

void ae_graph_destroy(ae_graph *self)
{
    if (self == NULL) return;
    ae_ring_destroy(self->commands);
    ae_triple_destroy(self->published);
    ae_free(self);
}

static void reset_steps(const ae_graph *self)
{
    for (int s = 0; s < self->step_count; s++) {
        const ae_step *step = &self->steps[s];
        ae_step_verbs_of(step->kind)->reset(step, self->buses[step->input_bus].channels);
    }
}

void ae_graph_reset(ae_graph *self)
{
    reset_steps(self);
    for (int s = 0; s < self->step_count; s++) ae_switch_reset(&self->switches[s]);
    memset(&self->report, 0, sizeof self->report);
    self->blocks_to_loudness = 0;
    self->has_begun = 0;
    ae_graph_publish(self);
}

int ae_graph_block_frames(const ae_graph *self) { return self->block_frames; }
int ae_graph_latency_frames(const ae_graph *self) { return self->latency_frames; }
int ae_graph_delay_frames(const ae_graph *self) { return sum_frames(self, delay_of); }
int ae_graph_most_delay_frames(const ae_graph *self) { return sum_frames(self, most_delay_of); }
int ae_graph_input_count(const ae_graph *self) { return self->input_count; }
int ae_graph_output_count(const ae_graph *self) { return self->output_count; }

int ae_graph_input_channels(const ae_graph *self, int input)
{
    return self->buses[self->input_buses[input]].channels;
}

int ae_graph_output_channels(const ae_graph *self, int output)
{
    return self->buses[self->output_buses[output]].channels;
}

/* ---- process ---- */

static void apply(ae_graph *self, const ae_command *command)
{
    if (command->step < 0 || command->step >= self->step_count) return;
    if (command->parameter != AE_PARAMETER_ACTIVE) {
        ae_step_apply(&self->steps[command->step], command);
    } else if (command->value == command->value) {
        self->switches[command->step].active = command->value >= 0.5f;
    }
}

static void drain_commands(ae_graph *self)
{
    ae_command command;
    for (int i = 0; i < k_commands_per_block && ae_ring_read(self->commands, &command, 1); i++) {
        apply(self, &command);
        self->report.commands_applied++;
    }
}

static float largest(float peak, const float *values, int count)
{
#pragma omp simd reduction(max : peak)
    for (int n = 0; n < count; n++) {
        const float magnitude = fabsf(values[n]);
        peak = magnitude > peak ? magnitude : peak;
    }
    return peak;
}

/* The range test is false for NaN too, so one comparison cleans everything. */
static int clean(const float *restrict from, float *restrict to, int count, float limit)
{
    int replaced = 0;
#pragma omp simd reduction(+ : replaced)
    for (int n = 0; n < count; n++) {
        const int usable = fabsf(from[n]) <= limit;
        to[n] = usable ? from[n] : 0.0f;
        replaced += !usable;
    }
    return replaced;
}

static void take_inputs(ae_graph *self, const float *const *inputs)
{
    for (int i = 0; i < self->input_count; i++) {
        const ae_bus *to = &self->buses[self->input_buses[i]];
        for (int c = 0; c < to->channels; c++, inputs++) {
            if (*inputs == NULL) {
                ae_zero(to->rows[c], self->block_frames);
                continue;
            }
            self->report.non_finite_count +=
                clean(*inputs, to->rows[c], self->block_frames, k_largest_sample);
            if (i == 0) {
                self->report.input_peak =
                    largest(self->report.input_peak, to->rows[c], self->block_frames);
            }
        }
    }
}

/* Returns the number of samples that had to be silenced. */
static int give_outputs(ae_graph *self, float *const *outputs)
{
    int faults = 0;
    for (int i = 0; i < self->output_count; i++) {
        const ae_bus *from = &self->buses[self->output_buses[i]];
        for (int c = 0; c < from->channels; c++, outputs++) {
            faults += clean(from->rows[c], *outputs, self->block_frames, FLT_MAX);
            if (i == 0) {
                self->report.output_peak =
                    largest(self->report.output_peak, *outputs, self->block_frames);
            }
        }
    }
    self->report.fault_count += faults > 0;
    return faults;
}

static void read_step(ae_graph *self, int index)
{
    const ae_step *step = &self->steps[index];
    ae_step_verbs_of(step->kind)->read(step, &self->report.steps[index]);
}

static void run_step(ae_graph *self, int index)
{
    const ae_step *step = &self->steps[index];
    const ae_step_verbs *verbs = ae_step_verbs_of(step->kind);
    const int shed = verbs->shed_level > 0 && self->shed_level >= verbs->shed_level;
    if (verbs->has_switch) {
        ae_switch_run(&self->switches[index], &self->context, step, shed, &self->heard[index]);
    } else if (!shed) {
        verbs->process(&self->context, step);
    }
}

/* Loudness and LRA are read now and then only. */
static int reads_are_due(ae_graph *self)
{
    const int due = self->blocks_to_loudness == 0;
    self->blocks_to_loudness = (self->blocks_to_loudness + 1) % k_blocks_per_loudness;
    return due;
}

static void run_steps(ae_graph *self)
{
    const int loudness_is_due = reads_are_due(self);
    for (int s = 0; s < self->step_count; s++) {
        run_step(self, s);
        if (self->steps[s].kind != AE_STEP_LOUDNESS || loudness_is_due) read_step(self, s);
    }
}

static void finish_block(ae_graph *self)
{
    self->report.frames += self->block_frames;
    ae_triple_write(self->published, &self->report);
}

static void begin(ae_graph *self)
{
    for (int s = 0; s < self->step_count && !self->has_begun; s++) {
        ae_switch_settle(&self->switches[s]);
    }
    self->has_begun = 1;
}

/* No kernel gives a non-finite sample; should one all the same, the block is silenced there and all
 * signal state starts anew, so that the fault cannot last. */
void ae_graph_process(ae_graph *self, const float *const *inputs, float *const *outputs)
{
    const ae_fp_mode mode = ae_fp_enter();
    drain_commands(self);
    begin(self);
    take_inputs(self, inputs);
    run_steps(self);
    if (give_outputs(self, outputs) > 0) reset_steps(self);
    finish_block(self);
    ae_fp_leave(mode);
}

void ae_graph_set_shed(ae_graph *self, int level)
{
    const int held = ae_clamp_int(level, 0, AE_SHED_SUPPRESSOR);
    if (held == self->shed_level) return;
    for (int s = 0; s < self->step_count; s++) {
        const ae_step_verbs *verbs = ae_step_verbs_of(self->steps[s].kind);
        if (verbs->ease != NULL) verbs->ease(&self->steps[s], held);
    }
    self->shed_level = held; /* last: a host that is killed before does all of it again */
}

static int leaves_more_out(const ae_graph *self, int level)
{
    for (int s = 0; s < self->step_count; s++) {
        const ae_step_verbs *verbs = ae_step_verbs_of(self->steps[s].kind);
        if (verbs->shed_level == level) return 1;
        if (verbs->eases != NULL && verbs->eases(&self->steps[s], level)) return 1;
    }
    return 0;
}

int ae_graph_idle_levels(const ae_graph *self)
{
    int idle = 0;
    for (int level = 1; level <= AE_SHED_SUPPRESSOR; level++)
        idle |= !leaves_more_out(self, level) << level;
    return idle;
}

/* ---- change of plan ---- */

/* The step of `other` that has the same kernels, or -1. */
static int same_step(const ae_graph *other, const ae_step *step)
{
    for (int s = 0; s < other->step_count; s++) {
        const ae_step *candidate = &other->steps[s];
        if (candidate->kind == step->kind &&
            memcmp(candidate->nodes, step->nodes, sizeof step->nodes) == 0) {
            return s;
        }
    }
    return -1;
}

/* The first step of the same kind, with other kernels, in the graph before; or NULL. */
static const ae_step *predecessor(const ae_step *step, const ae_graph *old)
{
    if (same_step(old, step) >= 0) return NULL;
    for (int s = 0; s < old->step_count; s++) {
        if (old->steps[s].kind == step->kind) return &old->steps[s];
    }
    return NULL;
}

/* Steps with a long memory begin with that of their predecessors. What lies in it now is heard much
 * later: the old graph's signal goes on in it until this one is warm, then one block fades. */
static void inherit(const ae_graph *self, const ae_graph *old)
{
    const int fades = self->blocks_led > AE_GRAPH_WARM_UP_BLOCKS;
    if (self->blocks_led > AE_GRAPH_WARM_UP_BLOCKS + 1) return;
    for (int s = 0; s < self->step_count; s++) {
        const ae_step_verbs *verbs = ae_step_verbs_of(self->steps[s].kind);
        const ae_step *before = verbs->take_over ? predecessor(&self->steps[s], old) : NULL;
        if (before == NULL) continue;
        if (self->blocks_led == 0) {
            verbs->take_over(&self->steps[s], before);
        } else {
            verbs->blend(&self->steps[s], before, fades ? 1.0f : 0.0f);
        }
    }
}

void ae_graph_take_over(ae_graph *self, const ae_graph *old)
{
    ae_graph_set_shed(self, old->shed_level);
    self->has_begun = 1;
    for (int s = 0; s < self->step_count; s++) {
        const int theirs = same_step(old, &self->steps[s]);
        if (theirs < 0) continue;
        ae_switch_take_over(&self->switches[s], &old->switches[theirs]);
        self->report.steps[s] = old->report.steps[theirs];
    }
    self->blocks_led = 0;
    inherit(self, old);
}

/* What the leader's step gave stands for this graph's own. */
static void copy_step(ae_graph *self, int index, const ae_graph *leader, int theirs)
{
    self->heard[index] = leader->heard[theirs];
    self->report.steps[index] = leader->report.steps[theirs];
    if (self->steps[index].output_bus < 0) return;
    const ae_bus *from = &leader->buses[leader->steps[theirs].output_bus];
    const ae_bus *to = &self->buses[self->steps[index].output_bus];
    for (int c = 0; c < to->channels && c < from->channels; c++) {
        ae_copy(to->rows[c], from->rows[c], self->block_frames);
    }
}

/* A fault resets nothing here: the kernels are the leader's, and this graph is on its way out. */
void ae_graph_process_following(ae_graph *self, ae_graph *leader, const float *const *inputs,
                                float *const *outputs)
{
    const ae_fp_mode mode = ae_fp_enter();
    ae_graph_set_shed(self, leader->shed_level);
    take_inputs(self, inputs);
    for (int s = 0; s < self->step_count; s++) {
        const int theirs = same_step(leader, &self->steps[s]);
        if (theirs >= 0) {
            copy_step(self, s, leader, theirs);
            continue;
        }
        run_step(self, s);
        if (self->steps[s].kind != AE_STEP_LOUDNESS) read_step(self, s);
    }
    give_outputs(self, outputs);
    leader->blocks_led++;
    inherit(leader, self);
    finish_block(self);
    ae_fp_leave(mode);
}

/* ---- control ---- */

ae_status ae_graph_post(ae_graph *self, const ae_command *command)
{
    return ae_ring_write(self->commands, command, 1) == 1 ? AE_OK : AE_ERROR_FULL;
}

void ae_graph_read(ae_graph *self, ae_graph_report *out)
{
    ae_triple_read(self->published, &self->newest); /* keeps the last copy when nothing is new */
    *out = self->newest;
}

void ae_graph_publish(ae_graph *self)
{
    for (int s = 0; s < self->step_count; s++) read_step(self, s);
    ae_triple_write(self->published, &self->report);
}
