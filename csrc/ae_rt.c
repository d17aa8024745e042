#include "ae_rt.h"

#include "ae_comparison.h"
#include "ae_fifo.h"
#include "ae_host.h"
#include "ae_loudness.h"
#include "ae_math.h"
#include "ae_peak_meter.h"
#include "ae_ring.h"

enum {
    k_command_capacity = 64,
    k_trash_capacity = 64, /* as many as commands can bring */
    k_log_capacity = 256,
    k_commands_per_frame = 8,
    k_fade_frames = 3, /* 30 ms: no click, and over before it is heard as a mix */
    k_swap_frames = AE_GRAPH_WARM_UP_BLOCKS + k_fade_frames,
    k_measure_interval = 10, /* frames between looks at loudness and load percentiles */
    k_max_latency_ms = 100,  /* of a graph, for the bypass; a lip-sync delay comes on top */
    k_continue = 0,          /* paContinue */
    k_complete = 1,          /* paComplete */
    k_levels = 3,            /* input, output, far */
};

static const float k_largest_sample = 64.0f; /* as at ae_graph's door */
static const float k_largest_gain = 100.0f;  /* 40 dB: more than any stage gives */

typedef struct {
    float now, target;
} ae_ramp;

/* A level on its way to the report. */
typedef struct {
    ae_peak_meter peak;
    ae_loudness *loudness;
    float momentary_lufs;
} ae_level;

typedef struct {
    int channels;
    float *rows[AE_MAX_CHANNELS];
} ae_rows;

static const ae_rt_command k_no_command = {.kind = -1};

/* A graph on its way back. Thrown away twice by a killed process and its successor, it has the same
 * number both times. */
typedef struct {
    ae_graph *graph;
    int64_t number;
} ae_thrown;

struct ae_rt {
    ae_rt_config config;
    int block_frames;
    ae_rt_device device;
    ae_graph *graph;
    ae_thrown leaving; /* the graph before, while the swap lasts */
    int swap_frames_left;
    int64_t collected_number; /* the control thread's: of the last graph that it got */
    ae_rt_command command;    /* the one that is being obeyed, or k_no_command */
    volatile int inside;      /* a callback runs; found set, the process was killed in it */
    ae_token *turn; /* of the callback, or of ae_rt_idle: they use the same ends of the queues */
    int has_turn;   /* the callback */
    int is_stopping, is_silent;
    int hears; /* 0: the microphone's device gives nothing */
    int frames_to_measure;
    ae_ramp monitor, mute, output;
    ae_callback callback;
    ae_load_guard load;
    ae_level levels[k_levels];
    ae_rt_report report;
    ae_rt_report newest; /* the control thread's last copy */
    int far_expected;

    ae_fifo *captured; /* device frames on their way in */
    ae_fifo *rendered; /* and out */
    ae_far_queue *far_queue;
    ae_comparison *comparison;
    ae_ring *commands, *trash, *log, *tap;
    ae_triple *published;
    ae_rows microphone, reference, processed, leaving_output, far, loudspeaker;
    float *tap_frame; /* one interleaved frame's worth of the tap */
};

/* ---- create ---- */

static void take_rows(ae_arena *arena, ae_rows *rows, int channels, int frames)
{
    for (int c = 0; c < channels; c++) {
        float *row = AE_TAKE(arena, frames, float);
        if (rows != NULL) rows->rows[c] = row;
    }
    if (rows != NULL) rows->channels = channels;
}

static int tap_channels(const ae_rt_config *config)
{
    return 2 * config->capture_channels + config->render_channels;
}

static ae_rt *layout(ae_arena *arena, const ae_rt_config *config)
{
    const int block = ae_block_frames(config->sample_rate_hz);
    const int capture = config->capture_channels, render = config->render_channels;
    ae_rt *self = AE_TAKE(arena, 1, ae_rt);
    take_rows(arena, self != NULL ? &self->microphone : NULL, capture, block);
    take_rows(arena, self != NULL ? &self->processed : NULL, capture, block);
    take_rows(arena, self != NULL ? &self->leaving_output : NULL, capture, block);
    take_rows(arena, self != NULL ? &self->reference : NULL, render, block);
    take_rows(arena, self != NULL ? &self->far : NULL, render, block);
    take_rows(arena, self != NULL ? &self->loudspeaker : NULL, render, block);
    float *tap_frame = AE_TAKE(arena, block * tap_channels(config), float);
    if (self != NULL) self->tap_frame = tap_frame;
    return self;
}

static int graph_fits(const ae_rt_config *config, const ae_graph *graph)
{
    return graph != NULL &&
           ae_graph_block_frames(graph) == ae_block_frames(config->sample_rate_hz) &&
           ae_graph_input_count(graph) <= 2 && ae_graph_output_count(graph) == 1 &&
           ae_graph_input_channels(graph, 0) == config->capture_channels &&
           ae_graph_output_channels(graph, 0) == config->capture_channels &&
           (ae_graph_input_count(graph) == 1 ||
            ae_graph_input_channels(graph, 1) == config->render_channels);
}

static int config_is_valid(const ae_rt_config *config)
{
    return config != NULL && config->sample_rate_hz >= AE_MIN_RATE_HZ &&
           config->sample_rate_hz <= AE_MAX_RATE_HZ && config->capture_channels >= 1 &&
           config->capture_channels <= AE_MAX_CHANNELS && config->render_channels >= 1 &&
           config->render_channels <= AE_MAX_CHANNELS && config->tap_frames >= 1 &&
           graph_fits(config, config->graph);
}

static ae_status create_parts(ae_rt *self)
{
    const ae_rt_config *config = &self->config;
    const int block = self->block_frames;
    const int capture = config->capture_channels, render = config->render_channels;
    const int longest = config->sample_rate_hz / 1000 * k_max_latency_ms +
                        ae_graph_most_delay_frames(config->graph);
    const struct {
        ae_ring **ring;
        size_t bytes;
        int capacity;
    } rings[] = {
        {&self->commands, sizeof(ae_rt_command), k_command_capacity},
        {&self->trash, sizeof(ae_thrown), k_trash_capacity},
        {&self->log, sizeof(ae_rt_log_entry), k_log_capacity},
        {&self->tap, (size_t)tap_channels(config) * sizeof(float), config->tap_frames},
    };
    ae_status status = AE_OK;
    for (size_t i = 0; status == AE_OK && i < sizeof rings / sizeof rings[0]; i++)
        status = ae_ring_create(rings[i].ring, (int)rings[i].bytes, rings[i].capacity);
    if (status == AE_OK)
        status = ae_far_queue_create(&self->far_queue, render, block, config->far_queue_frames);
    if (status == AE_OK) status = ae_fifo_create(&self->captured, capture, 2 * block);
    if (status == AE_OK) status = ae_fifo_create(&self->rendered, render, 3 * block);
    if (status == AE_OK) status = ae_comparison_create(&self->comparison, capture, block, longest);
    if (status == AE_OK) status = ae_triple_create(&self->published, sizeof(ae_rt_report));
    if (status == AE_OK) status = ae_token_create(&self->turn);
    for (int i = 0; status == AE_OK && i < k_levels; i++) {
        const ae_loudness_config loudness = {.sample_rate_hz = config->sample_rate_hz,
                                             .channels = i == 2 ? render : capture};
        status = ae_loudness_create(&self->levels[i].loudness, &loudness);
    }
    return status;
}

ae_status ae_rt_create(ae_rt **out, const ae_rt_config *config)
{
    *out = NULL;
    if (!config_is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_arena measure = {0};
    layout(&measure, config);
    ae_arena arena = {ae_allocate(measure.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_rt *self = layout(&arena, config);
    self->config = *config;
    self->graph = config->graph;
    self->command = k_no_command;
    self->block_frames = ae_block_frames(config->sample_rate_hz);
    self->mute.now = self->mute.target = 1.0f;
    self->output.now = self->output.target = 1.0f;
    const ae_status status = create_parts(self);
    if (status != AE_OK) {
        ae_rt_destroy(self);
        return status;
    }
    const ae_rt_device nothing = {.output_channels = 1, .buffer_s = 1.0};
    ae_rt_open(self, &nothing);
    *out = self;
    return AE_OK;
}

void ae_rt_destroy(ae_rt *self)
{
    if (self == NULL) return;
    ae_ring *const rings[] = {self->commands, self->trash, self->log, self->tap};
    for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++) ae_ring_destroy(rings[i]);
    for (int i = 0; i < k_levels; i++) ae_loudness_destroy(self->levels[i].loudness);
    ae_far_queue_destroy(self->far_queue);
    ae_fifo_destroy(self->captured);
    ae_fifo_destroy(self->rendered);
    ae_comparison_destroy(self->comparison);
    ae_triple_destroy(self->published);
    ae_token_destroy(self->turn);
    ae_free(self);
}

/* ---- open: a device is going to call ---- */

static void silence(const ae_rows *rows, int frames)
{
    for (int c = 0; c < rows->channels; c++) ae_zero(rows->rows[c], frames);
}

/* The least delay with which a frame is always there when the device asks: after n frames of
 * device blocks of B, floor(n / F) * F frames are processed, so F - gcd(F, B) are missing at most.
 * A microphone from a port is there when it is asked for; without a loudspeaker nobody asks. */
static int adapter_frames(const ae_rt *self)
{
    if (self->device.input_channels == 0 || self->device.output_channels == 0) return 0;
    const int frame = self->block_frames, block = self->device.device_block_frames;
    return frame - (block > 0 ? ae_greatest_common_divisor(frame, block) : 1);
}

/* Frames in whose time a callback has to be done, as far as that is known. */
static int guarded_frames(const ae_rt *self)
{
    return self->device.device_block_frames > 0 ? self->device.device_block_frames
                                                : self->block_frames;
}

void ae_rt_open(ae_rt *self, const ae_rt_device *device)
{
    self->device = *device;
    self->report.adapter_frames = adapter_frames(self);
    ae_fifo_clear(self->captured);
    ae_fifo_clear(self->rendered);
    ae_fifo_write(self->rendered, NULL, 1, self->report.adapter_frames);
    silence(&self->loudspeaker, self->block_frames); /* it has played nothing yet */
    ae_callback_open(&self->callback, device->buffer_s, device->wants_priority);
    ae_load_guard_open(&self->load, (double)guarded_frames(self) / self->config.sample_rate_hz);
    self->is_stopping = self->is_silent = 0;
    self->report.stopped = 0;
    self->output.now = self->output.target = 1.0f;
    if (device->input_channels == 0 && self->config.capture_port != NULL)
        ae_clock_bridge_open_reader(ae_capture_port_bridge(self->config.capture_port));
    if (self->config.far_port != NULL)
        ae_clock_bridge_open_reader(ae_capture_port_bridge(self->config.far_port));
}

/* ---- one frame ---- */

static void note(ae_rt *self, int code, double value)
{
    const ae_rt_log_entry entry = {.code = code, .frame = self->report.frames, .value = value};
    ae_ring_write(self->log, &entry, 1); /* a full log loses the newest */
}

static void throw_away_leaving(ae_rt *self)
{
    ae_ring_write(self->trash, &self->leaving, 1);
    self->leaving.graph = NULL;
}

/* May be done again by ae_rt_recover, after a kill between any two lines. */
static void begin_swap(ae_rt *self, const ae_rt_command *command)
{
    if (command->graph != self->graph) {
        self->leaving.number++;
        self->leaving.graph = self->graph;
        self->swap_frames_left = k_swap_frames;
        ae_graph_take_over(command->graph, self->graph);
        ae_graph_set_shed(command->graph, self->load.report.shed_level);
        self->graph = command->graph;
    }
    self->report.serial = command->serial;
    note(self, AE_RT_LOG_SWAPPED, command->serial);
}

static void apply(ae_rt *self, const ae_rt_command *command)
{
    switch (command->kind) {
    case AE_RT_MONITOR: self->monitor.target = command->value; break;
    case AE_RT_BYPASS: ae_comparison_set(self->comparison, command->on, command->value); break;
    case AE_RT_MUTE: self->mute.target = command->on ? 0.0f : 1.0f; break;
    case AE_RT_FAR: self->far_expected = command->on; break;
    case AE_RT_SWAP: begin_swap(self, command); break;
    case AE_RT_STOP:
        self->is_stopping = 1;
        self->output.target = 0.0f;
        break;
    default: break;
    }
}

/* Not while a swap lasts: the next one waits its turn. */
static void drain_commands(ae_rt *self)
{
    for (int i = 0; i < k_commands_per_frame && self->leaving.graph == NULL; i++) {
        if (!ae_ring_read(self->commands, &self->command, 1)) return;
        apply(self, &self->command);
        self->command = k_no_command;
    }
}

/* What is no sound becomes silence; false for NaN too. */
static void clean(const ae_rows *rows, int frames)
{
    for (int c = 0; c < rows->channels; c++) {
        float *restrict row = rows->rows[c];
        for (int n = 0; n < frames; n++) row[n] = fabsf(row[n]) <= k_largest_sample ? row[n] : 0.0f;
    }
}

static void take_far_end(ae_rt *self, double now_s)
{
    if (self->config.far_port != NULL) {
        ae_clock_bridge_read(ae_capture_port_bridge(self->config.far_port), self->far.rows, now_s);
    } else if (ae_far_queue_read(self->far_queue, self->far.rows) && self->far_expected) {
        self->report.far_underruns++;
        note(self, AE_RT_LOG_FAR_GAP, 0.0);
    }
    clean(&self->far, self->block_frames);
}

/* Multiply by a gain that goes linearly to its target within the frame. */
static void ramp_gain(ae_ramp *ramp, const ae_rows *rows, int frames)
{
    const float step = (ramp->target - ramp->now) / (float)frames;
    if (ramp->now != 1.0f || ramp->target != 1.0f) {
        for (int c = 0; c < rows->channels; c++) {
            for (int n = 0; n < frames; n++) rows->rows[c][n] *= ramp->now + step * (float)(n + 1);
        }
    }
    ramp->now = ramp->target;
}

/* The new graph is heard only when its kernels have seen enough to be in step. */
static void fade_from_leaving(ae_rt *self, const float *const *inputs)
{
    const int block = self->block_frames;
    ae_graph_process_following(self->leaving.graph, self->graph, inputs, self->leaving_output.rows);
    const int faded = k_fade_frames - self->swap_frames_left; /* frames; < 0: warming up */
    const float start = faded < 0 ? 0.0f : (float)(faded * block);
    const float step = faded < 0 ? 0.0f : 1.0f;
    const float length = (float)(k_fade_frames * block);
    for (int c = 0; c < self->processed.channels; c++) {
        float *out = self->processed.rows[c];
        const float *old = self->leaving_output.rows[c];
        for (int n = 0; n < block; n++) {
            const float share = (start + step * (float)(n + 1)) / length;
            out[n] = old[n] + share * (out[n] - old[n]);
        }
    }
    if (--self->swap_frames_left == 0) throw_away_leaving(self);
}

static void run_graph(ae_rt *self)
{
    const float *inputs[2 * AE_MAX_CHANNELS];
    int count = 0;
    for (int c = 0; c < self->microphone.channels; c++) inputs[count++] = self->microphone.rows[c];
    for (int c = 0; c < self->reference.channels; c++) inputs[count++] = self->reference.rows[c];
    ae_graph_process(self->graph, inputs, self->processed.rows);
    if (self->leaving.graph != NULL) fade_from_leaving(self, inputs);
    clean(&self->microphone, self->block_frames); /* the graph did, and counted, for itself */
    ae_comparison_process(self->comparison, (const float *const *)self->microphone.rows,
                          ae_graph_latency_frames(self->graph) + ae_graph_delay_frames(self->graph),
                          self->processed.rows);
    ramp_gain(&self->mute, &self->processed, self->block_frames);
}

/* Far end and monitor, held within full scale: a sum of two limited signals may exceed it. */
static void mix_loudspeaker(ae_rt *self)
{
    const int block = self->block_frames, plays_far = !self->config.far_is_loopback;
    const ae_ramp monitor = self->monitor;
    const float step = (monitor.target - monitor.now) / (float)block;
    for (int c = 0; c < self->loudspeaker.channels; c++) {
        const float *restrict voice = self->processed.rows[c % self->processed.channels];
        const float *restrict far = self->far.rows[c];
        float *restrict out = self->loudspeaker.rows[c];
        for (int n = 0; n < block; n++) {
            const float gain = monitor.now + step * (float)(n + 1);
            const float sum = (plays_far ? far[n] : 0.0f) + gain * voice[n];
            out[n] = ae_min(ae_max(sum, -1.0f), 1.0f);
        }
    }
    self->monitor.now = monitor.target;
    ramp_gain(&self->output, &self->loudspeaker, block);
}

/* The next frame's reference: what the loudspeaker plays now, whoever plays it. */
static void keep_reference(ae_rt *self)
{
    for (int c = 0; c < self->reference.channels; c++) {
        float *restrict to = self->reference.rows[c];
        const float *restrict played = self->loudspeaker.rows[c], *restrict far = self->far.rows[c];
        const float loopback = self->config.far_is_loopback ? 1.0f : 0.0f;
        for (int n = 0; n < self->block_frames; n++) to[n] = played[n] + loopback * far[n];
    }
}

static void write_tap(ae_rt *self)
{
    const ae_rows *parts[] = {&self->microphone, &self->reference, &self->processed};
    const int channels = tap_channels(&self->config), block = self->block_frames;
    int at = 0;
    for (int i = 0; i < 3; i++) {
        for (int c = 0; c < parts[i]->channels; c++, at++) {
            const float *from = parts[i]->rows[c];
            for (int n = 0; n < block; n++) self->tap_frame[n * channels + at] = from[n];
        }
    }
    const int missing = block - ae_ring_write(self->tap, self->tap_frame, block);
    if (missing > 0 && self->report.record_overruns == 0)
        note(self, AE_RT_LOG_RECORD_FULL, missing);
    self->report.record_overruns += missing;
}

/* Loudness walks a histogram and percentiles too: each only once in ten frames, not all at once. */
static void measure(ae_rt *self)
{
    const ae_rows *of[k_levels] = {&self->microphone, &self->processed, &self->far};
    ae_rt_level *to[k_levels] = {&self->report.input, &self->report.output, &self->report.far};
    const int turn = self->frames_to_measure;
    self->frames_to_measure = (turn + 1) % k_measure_interval;
    for (int i = 0; i < k_levels; i++) {
        ae_level *level = &self->levels[i];
        const float *const *rows = (const float *const *)of[i]->rows;
        ae_peak_meter_update(&level->peak, rows, of[i]->channels, self->block_frames,
                             self->config.sample_rate_hz);
        to[i]->peak = level->peak.peak;
        to[i]->held_peak = level->peak.held;
        if (self->load.report.shed_level >= AE_SHED_METERS) continue;
        ae_loudness_process(level->loudness, rows, self->block_frames);
        if (turn != i) continue;
        ae_loudness_report loudness;
        ae_loudness_read(level->loudness, &loudness);
        to[i]->momentary_lufs = (float)fmax(loudness.momentary_lufs, -200.0);
    }
    if (turn == k_levels) ae_load_guard_measure(&self->load);
}

/* self->microphone holds the captured frame; afterwards self->loudspeaker holds what to play. */
static void run_frame(ae_rt *self, double now_s)
{
    drain_commands(self);
    if (self->config.far_is_loopback) {
        take_far_end(self, now_s);
        keep_reference(self); /* the loopback is not late: it has been played already */
    } else {
        keep_reference(self);
        take_far_end(self, now_s);
    }
    /* A lost microphone hears no echo: the filter is not to learn that there is none. */
    if (!self->hears) silence(&self->reference, self->block_frames);
    run_graph(self);
    if (self->is_stopping && self->output.now == 0.0f) self->is_silent = 1;
    mix_loudspeaker(self);
    write_tap(self);
    measure(self);
    self->report.frames += self->block_frames;
}

/* ---- the callback ---- */

static void take_microphone(ae_rt *self, double now_s)
{
    ae_rows *microphone = &self->microphone;
    self->hears = 1;
    if (self->device.input_channels > 0) {
        ae_fifo_read_rows(self->captured, microphone->rows, self->block_frames);
    } else if (self->config.capture_port != NULL) {
        ae_clock_bridge *bridge = ae_capture_port_bridge(self->config.capture_port);
        ae_clock_bridge_read(bridge, microphone->rows, now_s);
        self->hears = ae_clock_bridge_is_writing(bridge);
    } else {
        silence(microphone, self->block_frames);
    }
}

/* At most one frame of the device's frames: in, through the graph when a frame is full, out. */
static void move_slice(ae_rt *self, const float *in, float *out, int frames, double now_s)
{
    const int block = self->block_frames, is_duplex = self->device.input_channels > 0;
    const int has_output = self->device.output_channels > 0;
    if (is_duplex) ae_fifo_write(self->captured, in, self->device.input_channels, frames);
    while (is_duplex ? ae_fifo_fill(self->captured) >= block
                     : has_output && ae_fifo_fill(self->rendered) < frames) {
        take_microphone(self, now_s);
        run_frame(self, now_s);
        if (has_output)
            ae_fifo_write_rows(self->rendered, (const float *const *)self->loudspeaker.rows, block);
    }
    if (!has_output) return;
    const int there = ae_fifo_fill(self->rendered) < frames ? ae_fifo_fill(self->rendered) : frames;
    const int channels = self->device.output_channels;
    ae_fifo_read(self->rendered, out, channels, there);
    ae_zero(out + (size_t)there * (size_t)channels, (frames - there) * channels);
    self->report.starved_frames += frames - there;
}

static void move(ae_rt *self, const float *in, float *out, int frames, double now_s)
{
    const double period_s = 1.0 / self->config.sample_rate_hz;
    for (int done = 0; done < frames;) {
        const int left = frames - done;
        const int now = left < self->block_frames ? left : self->block_frames;
        const size_t at = (size_t)done;
        move_slice(self, in == NULL ? NULL : in + at * (size_t)self->device.input_channels,
                   out == NULL ? NULL : out + at * (size_t)self->device.output_channels, now,
                   now_s + done * period_s);
        done += now;
    }
}

static void note_callback(ae_rt *self, int seen, double gap_s, unsigned long flags)
{
    if (self->callback.report.callbacks == 1 || gap_s == 0.0)
        note(self, AE_RT_LOG_STARTED,
             self->device.wants_priority ? self->callback.report.priority : -1);
    if (seen & AE_CALLBACK_FLAGGED) note(self, AE_RT_LOG_XRUN, (double)flags);
    if (seen & AE_CALLBACK_LATE) note(self, AE_RT_LOG_LATE, 1e3 * gap_s);
}

/* Longer blocks than announced have as much more time. */
static void guard_load(ae_rt *self, double busy_s, int frames)
{
    const int announced = guarded_frames(self);
    const double time_s = frames > announced ? busy_s * announced / frames : busy_s;
    /* The level meters are this file's own. */
    self->load.idle_levels = ae_graph_idle_levels(self->graph) & ~(1 << AE_SHED_METERS);
    if (!ae_load_guard_update(&self->load, time_s)) return;
    ae_graph_set_shed(self->graph, self->load.report.shed_level);
    note(self, AE_RT_LOG_SHED, self->load.report.shed_level);
}

/* From the first callback to ae_rt_recover. */
static int take_turn(ae_rt *self)
{
    if (!self->has_turn) self->has_turn = ae_token_take(self->turn);
    return self->has_turn;
}

int ae_rt_callback(const void *in, void *out, unsigned long frames, const void *time_info,
                   unsigned long flags, void *user)
{
    ae_rt *self = user;
    const double now_s = ae_host_now_s();
    if (!take_turn(self)) {
        if (out != NULL) ae_zero(out, (int)frames * self->device.output_channels);
        return k_continue;
    }
    self->inside = 1;
    const ae_fp_mode mode = ae_fp_enter();
    const double gap_s = self->callback.last_s == 0.0 ? 0.0 : now_s - self->callback.last_s;
    const int seen = ae_callback_enter(&self->callback, now_s, frames, time_info, flags);
    note_callback(self, seen, gap_s, flags);
    move(self, in, out, (int)frames, now_s);
    guard_load(self, ae_host_now_s() - now_s, (int)frames);
    self->report.callback = self->callback.report;
    self->report.load = self->load.report;
    self->report.stopped = self->is_silent;
    ae_triple_write(self->published, &self->report);
    ae_fp_leave(mode);
    self->inside = 0;
    return self->is_silent ? k_complete : k_continue;
}

/* ---- control ---- */

ae_status ae_rt_post(ae_rt *self, const ae_rt_command *command)
{
    if (command->kind < AE_RT_MONITOR || command->kind > AE_RT_STOP ||
        !(fabsf(command->value) <= k_largest_gain) ||
        (command->kind == AE_RT_SWAP && !graph_fits(&self->config, command->graph))) {
        return AE_ERROR_ARGUMENT;
    }
    return ae_ring_write(self->commands, command, 1) == 1 ? AE_OK : AE_ERROR_FULL;
}

ae_graph *ae_rt_collect(ae_rt *self)
{
    ae_thrown thrown;
    while (ae_ring_read(self->trash, &thrown, 1)) {
        if (thrown.number == self->collected_number) continue; /* thrown away twice */
        self->collected_number = thrown.number;
        return thrown.graph;
    }
    return NULL;
}

int ae_rt_read_log(ae_rt *self, ae_rt_log_entry *out, int count)
{
    return ae_ring_read(self->log, out, count);
}

int ae_rt_read_tap(ae_rt *self, float *interleaved, int frames)
{
    return ae_ring_read(self->tap, interleaved, frames);
}

void ae_rt_read(ae_rt *self, ae_rt_report *out)
{
    ae_triple_read(self->published, &self->newest);
    *out = self->newest;
}

ae_far_queue *ae_rt_far_queue(ae_rt *self) { return self->far_queue; }

void ae_rt_recover(ae_rt *self)
{
    if (self->leaving.graph == self->graph) self->leaving.graph = NULL; /* not begun yet */
    /* Obeyed or not, and in the queue still or not: twice does no harm. Half copied it has no
     * graph, and is in the queue. */
    if (self->command.kind != AE_RT_SWAP || self->command.graph != NULL)
        apply(self, &self->command);
    self->command = k_no_command;
    if (self->leaving.graph != NULL) throw_away_leaving(self);
    if (self->inside) { /* the graph may have stopped between any two lines */
        ae_graph_reset(self->graph);
        self->inside = 0;
    }
    self->has_turn = 0;
    ae_token_give(self->turn);
    ae_triple_write(self->published, &self->report);
}

void ae_rt_idle(ae_rt *self, int frames)
{
    if (!ae_token_take(self->turn)) return;
    ae_far_queue_drop(self->far_queue, frames);
    const int channels = tap_channels(&self->config);
    ae_zero(self->tap_frame, self->block_frames * channels);
    while (frames > 0) {
        const int now = frames < self->block_frames ? frames : self->block_frames;
        self->report.record_overruns += now - ae_ring_write(self->tap, self->tap_frame, now);
        frames -= now;
    }
    ae_token_give(self->turn);
}
