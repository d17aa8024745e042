#include "ae_clock_bridge.h"

#include "ae_dll.h"
#include "ae_math.h"
#include "ae_resample.h"
#include "ae_ring.h"

enum {
    k_chunk_frames = 128,
    k_max_block_frames = 4096,
    k_min_read_frames = 16,
    k_half_periods = 32,   /* of the resampler: flat to 0.91 of the lower Nyquist frequency */
    k_prefill_periods = 2, /* of that, pushed before a new position is heard */
};

static const double k_ring_s = 0.25;         /* on top of four writes: longer than any stall */
static const double k_fade_s = 0.005;        /* out, in and across */
static const double k_jump_s = 0.002;        /* fill off by this: only lost frames do that */
static const double k_still_jump_s = 0.0005; /* the same where nothing is heard yet */
static const double k_silent_writer_s = 0.1; /* and four writes: then nobody writes */
/* Writes may be so late before anything is known of them: a wake-up on a busy machine. */
static const double k_least_margin_s = 0.002;
static const double k_most_margin_s = 0.040;
static const double k_slack_s = 0.003, k_slack_time_s = 30.0;   /* a target so much too high comes
                                                                 * down after that time */
static const double k_margin_share = 1.25, k_margin_s = 0.0002; /* over the lateness seen */
static const double k_locked_s = 0.001; /* fill off by less: at its target */
static const double k_least_pull_s = 2.0, k_most_pull_s = 60.0; /* time constant of the steering */
static const double k_pull_share = 1.0 / 3.0;                   /* of the time since the jump */
static const double k_far_s = 0.00025; /* fill error beyond which it is pulled faster */
static const double k_far_pull_s = 8.0;
static const double k_most_pull_ppm = 100.0, k_first_pull_ppm = 300.0;
static const float k_first_slew_ppm_per_s = 1000.0f;
static const double k_first_s = 5.0; /* while the clocks are being learnt it may pull harder */

typedef struct {
    int64_t first_frame; /* since open_writer */
    double now_s;
    int32_t frames;
    int32_t write_frames; /* of the whole write; 0: more chunks of it follow */
    uint32_t generation;
    uint32_t unused;
    float samples[]; /* interleaved */
} chunk;

typedef struct {
    uint32_t generation;
    int64_t next_frame;
    chunk *staging;
} writer_side;

typedef struct {
    /* Input: frame n of the writer's stream lies in history[c][n mod history_frames]. */
    chunk *received;
    uint32_t generation;
    int64_t first, end; /* frames known */
    int64_t counted;    /* writes up to here are in the loop */
    double last_write_s;
    int write_frames;
    float *history[AE_MAX_CHANNELS];
    /* Time. */
    int64_t frames_read;
    double seconds; /* one read block, nominal */
    double running_s, slack_s;
    int running, writing;
    int64_t next_input; /* the frame that the resampler takes next */
    double target;      /* input frames; only a jump changes it */
    double fill, drift_ppm;
    int locked;
    /* Output. */
    int carried; /* resampled frames left over in work */
    int opening; /* the gain is rising or 1; else silent */
    int gain;    /* 0 .. fade_frames */
    int ghost;   /* frames of the fade-out still to come */
    float *piece[AE_MAX_CHANNELS];
    float *work[AE_MAX_CHANNELS];
    float *newest[AE_MAX_CHANNELS]; /* the last fade_frames frames given, oldest first */
    float *faded[AE_MAX_CHANNELS];  /* the fade-out that replaces what was cut */
    int64_t underruns, overruns;
} reader_side;

struct ae_clock_bridge {
    ae_clock_bridge_config config;
    int fade_frames;
    int history_frames; /* a power of two */
    int work_frames;
    double input_per_output;
    double resampler_ms;
    ae_ring *ring;
    ae_triple *report;
    ae_resample *resample;
    ae_dll *write_clock, *read_clock; /* both the reader's */
    _Alignas(64) writer_side writer;
    _Alignas(64) reader_side reader;
};

static size_t chunk_bytes(const ae_clock_bridge_config *config)
{
    return sizeof(chunk) + (size_t)k_chunk_frames * (size_t)config->channels * sizeof(float);
}

static ae_clock_bridge *lay_out(ae_arena *arena, ae_clock_bridge *planned)
{
    const int channels = planned->config.channels;
    ae_clock_bridge *place = AE_TAKE(arena, 1, ae_clock_bridge);
    planned->writer.staging = ae_arena_take(arena, 1, chunk_bytes(&planned->config));
    planned->reader.received = ae_arena_take(arena, 1, chunk_bytes(&planned->config));
    for (int c = 0; c < channels; c++) {
        planned->reader.history[c] = AE_TAKE(arena, planned->history_frames, float);
        planned->reader.piece[c] = AE_TAKE(arena, k_chunk_frames, float);
        planned->reader.work[c] = AE_TAKE(arena, planned->work_frames, float);
        planned->reader.newest[c] = AE_TAKE(arena, planned->fade_frames, float);
        planned->reader.faded[c] = AE_TAKE(arena, planned->fade_frames, float);
    }
    return place;
}

static ae_status create_parts(ae_clock_bridge *self, int ring_chunks)
{
    const ae_clock_bridge_config *config = &self->config;
    const ae_resample_config resample = {config->input_rate_hz, config->output_rate_hz,
                                         config->channels, k_half_periods};
    const ae_dll_config write_clock = {config->input_rate_hz};
    const ae_dll_config read_clock = {config->output_rate_hz};
    ae_status status = ae_resample_create(&self->resample, &resample);
    if (status == AE_OK) status = ae_dll_create(&self->write_clock, &write_clock);
    if (status == AE_OK) status = ae_dll_create(&self->read_clock, &read_clock);
    if (status == AE_OK)
        status = ae_ring_create(&self->ring, (int)chunk_bytes(config), ring_chunks);
    if (status == AE_OK)
        status = ae_triple_create(&self->report, (int)sizeof(ae_clock_bridge_report));
    return status;
}

ae_status ae_clock_bridge_create(ae_clock_bridge **out, const ae_clock_bridge_config *config)
{
    *out = NULL;
    if (config->channels < 1 || config->channels > AE_MAX_CHANNELS || config->write_frames < 0 ||
        config->write_frames > k_max_block_frames || config->read_frames < k_min_read_frames ||
        config->read_frames > k_max_block_frames || config->input_rate_hz <= 0 ||
        config->output_rate_hz <= 0)
        return AE_ERROR_ARGUMENT;

    ae_clock_bridge planned = {.config = *config};
    planned.fade_frames = (int)ceil(k_fade_s * config->output_rate_hz);
    planned.input_per_output = (double)config->input_rate_hz / config->output_rate_hz;
    const int longest_write = config->write_frames > 0 ? config->write_frames : k_max_block_frames;
    const int ring_frames = (int)(k_ring_s * config->input_rate_hz) + 4 * longest_write;
    const int read_frames = (int)(planned.input_per_output * config->read_frames) + 1;
    planned.history_frames = 1;
    while (planned.history_frames < 2 * ring_frames + 4 * read_frames) planned.history_frames *= 2;
    planned.work_frames = config->read_frames + 16 * k_chunk_frames;

    ae_arena arena = {0};
    (void)lay_out(&arena, &planned);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_clock_bridge *self = lay_out(&arena, &planned);
    *self = planned;
    const ae_status status = create_parts(self, ring_frames / k_chunk_frames + 1);
    if (status != AE_OK) {
        ae_clock_bridge_destroy(self);
        return status;
    }
    self->resampler_ms =
        1e3 * ae_resample_latency_frames(self->resample) / self->config.output_rate_hz;
    ae_clock_bridge_open_writer(self);
    ae_clock_bridge_open_reader(self);
    *out = self;
    return AE_OK;
}

void ae_clock_bridge_destroy(ae_clock_bridge *self)
{
    if (self == NULL) return;
    ae_triple_destroy(self->report);
    ae_ring_destroy(self->ring);
    ae_dll_destroy(self->read_clock);
    ae_dll_destroy(self->write_clock);
    ae_resample_destroy(self->resample);
    ae_free(self);
}

/* --- the writer ------------------------------------------------------------------------------- */

void ae_clock_bridge_open_writer(ae_clock_bridge *self)
{
    self->writer.generation++;
    self->writer.next_frame = 0;
}

void ae_clock_bridge_write(ae_clock_bridge *self, const float *interleaved, int frames,
                           double now_s)
{
    writer_side *writer = &self->writer;
    chunk *staging = writer->staging;
    const int channels = self->config.channels;
    for (int at = 0; at < frames; at += k_chunk_frames) {
        const int count = frames - at < k_chunk_frames ? frames - at : k_chunk_frames;
        staging->first_frame = writer->next_frame;
        staging->now_s = now_s;
        staging->frames = count;
        staging->write_frames = at + count == frames ? frames : 0;
        staging->generation = writer->generation;
        if (interleaved == NULL)
            ae_zero(staging->samples, count * channels);
        else
            ae_copy(staging->samples, interleaved + (size_t)at * (size_t)channels,
                    count * channels);
        (void)ae_ring_write(self->ring, staging, 1); /* full: the reader sees the gap */
        writer->next_frame += count;
    }
}

/* --- the reader: from the ring into the history ------------------------------------------------
 */

static void forget_input(ae_clock_bridge *self)
{
    reader_side *reader = &self->reader;
    reader->first = reader->end = 0;
    reader->last_write_s = 0.0;
    reader->write_frames = self->config.write_frames;
    ae_dll_restart(self->write_clock);
}

void ae_clock_bridge_open_reader(ae_clock_bridge *self)
{
    reader_side *reader = &self->reader;
    reader->generation = 0; /* no writer has it: the first chunk will be news */
    reader->frames_read = 0;
    reader->running = reader->writing = reader->locked = 0;
    reader->carried = reader->opening = reader->gain = reader->ghost = 0;
    reader->fill = reader->target = 0.0;
    for (int c = 0; c < self->config.channels; c++) ae_zero(reader->newest[c], self->fade_frames);
    forget_input(self);
    ae_dll_restart(self->read_clock);
    const ae_clock_bridge_report report = {.drift_ppm = reader->drift_ppm,
                                           .underruns = reader->underruns,
                                           .overruns = reader->overruns};
    ae_triple_write(self->report, &report);
}

/* Appends `count` frames to the history; `samples` NULL: frames that were dropped. */
static void append(ae_clock_bridge *self, const float *samples, int64_t count)
{
    reader_side *reader = &self->reader;
    const int channels = self->config.channels, mask = self->history_frames - 1;
    for (int64_t i = 0; i < count; i++, reader->end++)
        for (int c = 0; c < channels; c++)
            reader->history[c][reader->end & mask] =
                samples == NULL ? 0.0f : samples[(size_t)i * (size_t)channels + (size_t)c];
    if (reader->end - reader->first > self->history_frames)
        reader->first = reader->end - self->history_frames;
}

static void receive(ae_clock_bridge *self, const chunk *received)
{
    reader_side *reader = &self->reader;
    if (received->generation != reader->generation) {
        reader->generation = received->generation;
        reader->running = 0;
        forget_input(self);
        reader->first = reader->end = received->first_frame;
    }
    const int64_t gap = received->first_frame - reader->end;
    if (gap > 0) {
        reader->overruns += gap;
        if (gap < self->history_frames)
            append(self, NULL, gap);
        else
            reader->first = reader->end = received->first_frame;
    }
    append(self, received->samples, received->frames);
    if (received->write_frames == 0) return;
    if (received->write_frames > reader->write_frames)
        reader->write_frames = received->write_frames;
    reader->last_write_s = received->now_s;
    ae_dll_update(self->write_clock, received->now_s, reader->end);
}

static void receive_all(ae_clock_bridge *self)
{
    for (int left = ae_ring_fill(self->ring); left > 0; left--) {
        if (ae_ring_read(self->ring, self->reader.received, 1) == 0) return;
        receive(self, self->reader.received);
    }
}

/* --- the reader: where to read -----------------------------------------------------------------
 */

static double input_frames_per_read(const ae_clock_bridge *self)
{
    return self->config.read_frames * self->input_per_output;
}

/* The input time, in frames, up to which the next output frame needs input. */
static double read_position(const ae_clock_bridge *self)
{
    return (double)self->reader.next_input + ae_resample_input_short(self->resample) -
           self->reader.carried * self->input_per_output;
}

static double wanted_target(const ae_clock_bridge *self, double lateness_s)
{
    double margin_s = k_margin_share * lateness_s + k_margin_s;
    margin_s = fmin(fmax(margin_s, k_least_margin_s), k_most_margin_s);
    return input_frames_per_read(self) + self->reader.write_frames + 1.0 +
           margin_s * self->config.input_rate_hz;
}

/* Copies `count` frames (at most one piece) from frame `from` on into the pieces; silence outside
 * of what is known. */
static void fill_piece(ae_clock_bridge *self, int64_t from, int count)
{
    reader_side *reader = &self->reader;
    const int mask = self->history_frames - 1;
    for (int c = 0; c < self->config.channels; c++)
        for (int i = 0; i < count; i++) {
            const int64_t n = from + i;
            reader->piece[c][i] =
                n >= reader->first && n < reader->end ? reader->history[c][n & mask] : 0.0f;
        }
}

/* Gives the resampler its next `count` frames. */
static void push(ae_clock_bridge *self, int count)
{
    reader_side *reader = &self->reader;
    const float *in[AE_MAX_CHANNELS];
    float *out[AE_MAX_CHANNELS];
    for (int c = 0; c < self->config.channels; c++) {
        in[c] = reader->piece[c];
        out[c] = reader->work[c] + reader->carried;
    }
    fill_piece(self, reader->next_input, count);
    reader->next_input += count;
    reader->carried +=
        ae_resample_process(self->resample, in, count, out, self->work_frames - reader->carried);
}

/* The newest output backwards, fading out: it will be added to what follows frame `at` of out. */
static void begin_fade_out(ae_clock_bridge *self, float *const *out, int at)
{
    reader_side *reader = &self->reader;
    const int length = self->fade_frames;
    for (int c = 0; c < self->config.channels; c++)
        for (int i = 0; i < length; i++) {
            const int from = at - 1 - i;
            const float sample = from >= 0 ? out[c][from] : reader->newest[c][length + from];
            reader->faded[c][i] = sample * (float)(length - i) / (float)(length + 1);
        }
    reader->ghost = length;
    reader->gain = 0;
    reader->opening = 0;
}

/* Moves the read position to the target fill and lets the sound rise there. */
static void jump(ae_clock_bridge *self, float *const *out, double writer_frames, double target)
{
    reader_side *reader = &self->reader;
    if (reader->gain > 0) begin_fade_out(self, out, 0);
    const int64_t position = llround(writer_frames - target);
    if (reader->running && position > reader->next_input)
        reader->overruns += position - reader->next_input;
    ae_resample_set_ppm(self->resample, (float)reader->drift_ppm);
    ae_resample_reset(self->resample);
    int prefill = (int)ceil(k_prefill_periods * k_half_periods * fmax(1.0, self->input_per_output));
    reader->next_input = position - prefill;
    for (; prefill > 0; prefill -= k_chunk_frames) {
        reader->carried = 0;
        push(self, prefill < k_chunk_frames ? prefill : k_chunk_frames);
    }
    reader->carried = 0;
    reader->target = writer_frames - read_position(self);
    reader->running = 1;
    reader->running_s = reader->slack_s = 0.0;
}

static void steer(ae_clock_bridge *self, double excess)
{
    reader_side *reader = &self->reader;
    const double rate = self->config.input_rate_hz, far = k_far_s * rate;
    const double pull_s =
        fmin(fmax(k_pull_share * reader->running_s, k_least_pull_s), k_most_pull_s);
    const double beyond = excess - fmin(fmax(excess, -far), far);
    const double pull_ppm = 1e6 * (excess / pull_s + beyond / k_far_pull_s) / rate;
    const int first = reader->running_s < k_first_s;
    const double most_ppm = first ? k_first_pull_ppm : k_most_pull_ppm;
    ae_resample_set_slew_ppm_per_s(self->resample, first ? k_first_slew_ppm_per_s : 0.0f);
    const double limited = fmin(fmax(pull_ppm, -most_ppm), most_ppm);
    ae_resample_set_ppm(self->resample, (float)(reader->drift_ppm + limited));
}

static int has_input(const ae_clock_bridge *self)
{
    const reader_side *reader = &self->reader;
    return read_position(self) + input_frames_per_read(self) + 2.0 <= (double)reader->end;
}

/* Follows the clocks: decides where this block is read and at which ratio. */
static void follow(ae_clock_bridge *self, float *const *out, double now_s)
{
    reader_side *reader = &self->reader;
    const double rate = self->config.input_rate_hz;
    ae_dll_report writes, reads;
    ae_dll_update(self->read_clock, now_s, reader->frames_read);
    ae_dll_read(self->write_clock, &writes);
    ae_dll_read(self->read_clock, &reads);
    const double silent_s = now_s - reader->last_write_s;
    reader->writing = reader->last_write_s > 0.0 &&
                      silent_s < k_silent_writer_s + 4.0 * reader->write_frames / rate;
    const int settled = writes.settled && reads.settled;
    if (!reader->writing || !writes.ready || !reads.ready || !(reader->running || settled)) {
        if (reader->gain > 0) begin_fade_out(self, out, 0);
        reader->running = reader->locked = 0;
        return;
    }
    reader->drift_ppm =
        1e6 * ((1.0 + 1e-6 * writes.rate_ppm) / (1.0 + 1e-6 * reads.rate_ppm) - 1.0);
    const double time_s = ae_dll_time_of(self->read_clock, (double)reader->frames_read);
    const double writer_frames = ae_dll_frames_at(self->write_clock, time_s);
    const double wanted = wanted_target(self, writes.lateness_s);
    if (!reader->running) {
        if ((double)reader->end < writer_frames - wanted + input_frames_per_read(self) + 2.0)
            return;
        jump(self, out, writer_frames, wanted);
        reader->opening = 1;
    }
    double excess = writer_frames - read_position(self) - reader->target;
    const double still = k_still_jump_s * rate;
    reader->slack_s =
        reader->target - wanted > k_slack_s * rate ? reader->slack_s + reader->seconds : 0.0;
    const int off = reader->gain > 0
                        ? fabs(excess) > k_jump_s * rate || reader->slack_s > k_slack_time_s
                        : fabs(excess) > still || wanted > reader->target + still;
    if (off && settled) {
        jump(self, out, writer_frames, wanted);
        reader->opening = 1;
        excess = 0.0;
    }
    steer(self, excess);
    if (!reader->opening && has_input(self)) reader->opening = 1;
    reader->fill = writer_frames - read_position(self);
    reader->locked =
        writes.locked && reads.locked && reader->opening && fabs(excess) < k_locked_s * rate;
    reader->running_s += reader->seconds;
}

/* --- the reader: what is heard -----------------------------------------------------------------
 */

/* Frames from .. to of out: the resampled signal with its gain, and the fade-out over it. */
static void render(ae_clock_bridge *self, float *const *out, int from, int to)
{
    reader_side *reader = &self->reader;
    const int length = self->fade_frames;
    for (int i = from; i < to; i++) {
        if (reader->opening && reader->gain < length) reader->gain++;
        const float gain = (float)reader->gain / (float)length;
        for (int c = 0; c < self->config.channels; c++) {
            out[c][i] = gain * reader->work[c][i];
            if (reader->ghost > 0) out[c][i] += reader->faded[c][length - reader->ghost];
        }
        if (reader->ghost > 0) reader->ghost--;
    }
}

/* Resamples one block into work; returns how much of it rests on input that was there. */
static int resample_block(ae_clock_bridge *self)
{
    reader_side *reader = &self->reader;
    const int read_frames = self->config.read_frames;
    int whole = -1;
    while (reader->carried < read_frames) {
        /* 1000 ppm of a chunk are less than one frame: this many can never be too many. */
        int count = (int)((read_frames - reader->carried) * self->input_per_output * 0.998) - 2;
        count = ae_clamp_int(count, 1, k_chunk_frames);
        const int64_t known = reader->end - reader->next_input;
        if (known <= 0 && whole < 0) whole = reader->carried;
        if (known > 0 && count > known) count = (int)known;
        push(self, count);
    }
    return whole < 0 || whole > read_frames ? read_frames : whole;
}

static void keep_newest(ae_clock_bridge *self, float *const *out)
{
    const int read_frames = self->config.read_frames, length = self->fade_frames;
    const int kept = read_frames < length ? length - read_frames : 0;
    for (int c = 0; c < self->config.channels; c++) {
        float *newest = self->reader.newest[c];
        memmove(newest, newest + (length - kept), (size_t)kept * sizeof(float));
        ae_copy(newest + kept, out[c] + read_frames - (length - kept), length - kept);
    }
}

static void write_report(ae_clock_bridge *self)
{
    const reader_side *reader = &self->reader;
    const double rate = self->config.input_rate_hz;
    ae_dll_report writes;
    ae_dll_read(self->write_clock, &writes);
    const ae_clock_bridge_report report = {
        .drift_ppm = reader->drift_ppm,
        .fill_frames = (float)reader->fill,
        .target_frames = (float)reader->target,
        .jitter_ms = (float)(1e3 * writes.jitter_s),
        .latency_ms = (float)(1e3 * reader->fill / rate + self->resampler_ms),
        .locked = reader->locked,
        .writing = reader->writing,
        .underruns = reader->underruns,
        .overruns = reader->overruns,
    };
    ae_triple_write(self->report, &report);
}

void ae_clock_bridge_read(ae_clock_bridge *self, float *const *out, double now_s)
{
    reader_side *reader = &self->reader;
    const int read_frames = self->config.read_frames;
    reader->seconds = (double)read_frames / self->config.output_rate_hz;
    receive_all(self);
    follow(self, out, now_s);
    int whole = read_frames;
    if (reader->running) {
        whole = resample_block(self);
    } else {
        for (int c = 0; c < self->config.channels; c++) ae_zero(reader->work[c], read_frames);
        reader->carried = read_frames;
    }
    if (whole < read_frames) {
        reader->underruns++;
        render(self, out, 0, whole);
        if (reader->gain > 0) begin_fade_out(self, out, whole);
        reader->opening = 0;
        render(self, out, whole, read_frames);
    } else {
        render(self, out, 0, read_frames);
    }
    reader->carried -= read_frames;
    for (int c = 0; c < self->config.channels; c++)
        memmove(reader->work[c], reader->work[c] + read_frames,
                (size_t)reader->carried * sizeof(float));
    keep_newest(self, out);
    reader->frames_read += read_frames;
    write_report(self);
}

int ae_clock_bridge_is_writing(const ae_clock_bridge *self) { return self->reader.writing; }

void ae_clock_bridge_read_report(ae_clock_bridge *self, ae_clock_bridge_report *out)
{
    (void)ae_triple_read(self->report, out);
}
