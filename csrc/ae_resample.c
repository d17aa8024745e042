#include "ae_resample.h"

#include "ae_math.h"

#include <assert.h>
#include <limits.h>

enum {
    k_min_rate_hz = 8000,
    k_max_rate_hz = 192000,
    k_max_ratio = 12,
    k_half_periods = 96, /* half the filter, in periods of the lower rate, unless told otherwise */
    k_min_half_periods = 16,
    k_lanes = 16,  /* partial sums of a dot product; the filter is a multiple of it long */
    k_rows = 1024, /* per period of the lower rate; the image of linear interpolation between
                    * rows is (0.455 / 1024)^2 = -134 dB at 0.91 of Nyquist */
    k_max_taps = 2 * k_max_ratio * k_half_periods,
    k_chunk_frames = 512, /* input taken at a time */
    k_fraction_bits = 32, /* of the position, below the exact rational grid: 0.0002 ppm steps */
};

static const double k_pi = 3.14159265358979323846;

typedef struct {
    double cutoff; /* share of the lower Nyquist frequency */
    double kaiser_beta;
} window;
/* With this beta (Kaiser: 0.1102 (135.7 - 8.7)) and 192 taps
 * the response is -0.0001 dB at 0.91 and below -135 dB from 1.0 on: a sweep over both, 0.9535
 * and 14.0, found no pair with a lower stop band within 0.0002 dB. */
static const window k_long_window = {.cutoff = 0.9535, .kaiser_beta = 14.0};
/* The shorter filters: -90 dB (Kaiser: 0.1102 (90 - 8.7)), the transition centred on the lower
 * Nyquist frequency. At nearly equal rates the image of what lies there falls back on itself. */
static const window k_short_window = {.cutoff = 1.0, .kaiser_beta = 9.0};
static const double k_max_ppm = 1000.0;
/* No ear follows a pitch change of 1 ppm per 10 ms, and a drift loop is slower still. */
static const double k_slew_ppm_per_s = 100.0;
static const double k_max_slew_ppm_per_s = 10000.0;

/* Time is counted in units of 1 / (grid * 2^32) input frames, where grid is the reduced output
 * rate: every unsteered output lies on a whole multiple of 2^32 units. */
struct ae_resample {
    int input_rate_hz;
    int output_rate_hz;
    int channels;
    int half_periods; /* 0: the long filter */
    int latency_frames;
    int half;    /* taps on each side of the position */
    int rows;    /* per input frame */
    int history; /* input frames kept before the next one */
    int capacity;
    int64_t frame_units; /* one input frame */
    double rows_per_unit;
    int delay_frames; /* latency in input time, whole frames and the rest */
    int64_t delay_units;
    int step_frames; /* input time per output frame, likewise */
    int64_t step_units;
    int64_t slew_units; /* change of the steering per output frame */

    int64_t steer_target_units; /* added to each step */
    int64_t steer_units;
    int64_t units; /* time of the next output: frame `next` of the buffer and this much */
    int next;
    int fill; /* frames in the buffer */

    float *table;                   /* rows + 1 rows of 2 * half taps */
    float *buffer[AE_MAX_CHANNELS]; /* history, then new input */
};

static int round_up(int value, int multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* Change of the steering per output frame, for a pace of change and a step of step / grid. */
static int64_t slew_units(double ppm_per_s, int step, int output_rate_hz)
{
    const double slew = ppm_per_s * 1e-6 / output_rate_hz;
    return llround(slew * step * (double)((int64_t)1 << k_fraction_bits));
}

/* The geometry that follows from the configuration; no memory yet. */
static ae_resample plan(const ae_resample_config *config)
{
    const int divisor = ae_greatest_common_divisor(config->input_rate_hz, config->output_rate_hz);
    const int step = config->input_rate_hz / divisor, grid = config->output_rate_hz / divisor;
    const int lower = step < grid ? step : grid;
    ae_resample self = {.input_rate_hz = config->input_rate_hz,
                        .output_rate_hz = config->output_rate_hz,
                        .channels = config->channels,
                        .half_periods = config->half_periods};
    const int64_t half_periods = config->half_periods > 0 ? config->half_periods : k_half_periods;
    self.half = round_up((int)(half_periods * step / lower), k_lanes / 2);
    self.latency_frames = (int)(((int64_t)self.half * grid + step - 1) / step);
    self.rows = (int)(((int64_t)k_rows * lower + step - 1) / step);
    if (grid <= self.rows) self.rows = round_up(self.rows, grid);

    self.frame_units = (int64_t)grid << k_fraction_bits;
    self.rows_per_unit = (double)self.rows / grid / (double)((int64_t)1 << k_fraction_bits);
    const int64_t delay = (int64_t)self.latency_frames * step;
    self.delay_frames = (int)(delay / grid);
    self.delay_units = (delay % grid) << k_fraction_bits;
    self.step_frames = step / grid;
    self.step_units = (int64_t)(step % grid) << k_fraction_bits;
    self.slew_units = slew_units(k_slew_ppm_per_s, step, config->output_rate_hz);
    self.history = round_up(self.delay_frames + self.half + 1, k_lanes);
    self.capacity = self.history + k_chunk_frames;
    return self;
}

/* Modified Bessel function of the first kind, order 0, by its power series. */
static double bessel_i0(double x)
{
    const double quarter_square = 0.25 * x * x;
    double term = 1.0, sum = 1.0;
    for (int k = 1; term > 1e-17 * sum; k++) {
        term *= quarter_square / ((double)k * k);
        sum += term;
    }
    return sum;
}

/* The windowed sinc t input frames from its middle; `lower` is the lower rate over the input rate.
 */
static double tap_at(const window *shape, double t, double half, double lower)
{
    const double angle = k_pi * shape->cutoff * lower * t;
    const double inside = fmax(0.0, 1.0 - t * t / (half * half));
    return bessel_i0(shape->kaiser_beta * sqrt(inside)) *
           (fabs(angle) < 1e-9 ? 1.0 : sin(angle) / angle);
}

/* Row r holds the filter for positions r / rows of a frame after a sample. It is scaled to a gain
 * of one at DC, so that DC has no images at all. Row rows - r is row r backwards. */
static void fill_table(ae_resample *self)
{
    const int taps = 2 * self->half;
    const double lower = fmin(1.0, (double)self->output_rate_hz / self->input_rate_hz);
    const window shape = self->half_periods > 0 ? k_short_window : k_long_window;
    for (int r = 0; 2 * r <= self->rows; r++) {
        double exact[k_max_taps], sum = 0.0;
        for (int k = 0; k < taps; k++) {
            const double t = k - self->half + 1 - (double)r / self->rows;
            exact[k] = tap_at(&shape, t, self->half, lower);
            sum += exact[k];
        }
        float *row = self->table + (size_t)r * (size_t)taps;
        float *mirror = self->table + (size_t)(self->rows - r) * (size_t)taps;
        for (int k = 0; k < taps; k++) row[k] = mirror[taps - 1 - k] = (float)(exact[k] / sum);
    }
}

/* Cuts the object and its planes out of the arena; returns where the object lies. */
static ae_resample *lay_out(ae_arena *arena, ae_resample *planned)
{
    ae_resample *place = AE_TAKE(arena, 1, ae_resample);
    planned->table = AE_TAKE(arena, (planned->rows + 1) * 2 * planned->half, float);
    for (int c = 0; c < planned->channels; c++)
        planned->buffer[c] = AE_TAKE(arena, planned->capacity, float);
    return place;
}

static int rate_is_bad(int rate_hz) { return rate_hz < k_min_rate_hz || rate_hz > k_max_rate_hz; }

ae_status ae_resample_create(ae_resample **out, const ae_resample_config *config)
{
    *out = NULL;
    const int in = config->input_rate_hz, to = config->output_rate_hz;
    if (rate_is_bad(in) || rate_is_bad(to) || in > k_max_ratio * to || to > k_max_ratio * in ||
        config->channels < 1 || config->channels > AE_MAX_CHANNELS ||
        (config->half_periods != 0 &&
         (config->half_periods < k_min_half_periods || config->half_periods > k_half_periods)))
        return AE_ERROR_ARGUMENT;
    ae_resample planned = plan(config);
    ae_arena arena = {0};
    (void)lay_out(&arena, &planned);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_resample *self = lay_out(&arena, &planned);
    *self = planned;
    fill_table(self);
    ae_resample_reset(self);
    *out = self;
    return AE_OK;
}

void ae_resample_destroy(ae_resample *self) { ae_free(self); }

void ae_resample_reset(ae_resample *self)
{
    for (int c = 0; c < self->channels; c++) ae_zero(self->buffer[c], self->history);
    self->fill = self->history;
    self->next = self->history;
    self->units = 0;
    self->steer_units = self->steer_target_units;
}

int ae_resample_latency_frames(const ae_resample *self) { return self->latency_frames; }

double ae_resample_input_short(const ae_resample *self)
{
    return self->next - self->fill + (double)self->units / (double)self->frame_units;
}

int ae_resample_output_bound(const ae_resample *self, int in_frames)
{
    /* 1 / (1 - 1000 ppm) < 1.002; one frame for the ceiling and one for where the last call ended.
     */
    const int64_t bound =
        (int64_t)in_frames * self->output_rate_hz / self->input_rate_hz * 1002 / 1000 + 3;
    return bound < INT_MAX ? (int)bound : INT_MAX;
}

static double step_of(const ae_resample *self)
{
    return (double)self->step_frames * (double)self->frame_units + (double)self->step_units;
}

void ae_resample_set_ppm(ae_resample *self, float ppm)
{
    if (ppm != ppm) return;
    const double clamped = fmin(fmax((double)ppm, -k_max_ppm), k_max_ppm);
    self->steer_target_units = llround(clamped * 1e-6 * step_of(self));
}

void ae_resample_set_slew_ppm_per_s(ae_resample *self, float slew_ppm_per_s)
{
    if (slew_ppm_per_s != slew_ppm_per_s) return;
    const double clamped =
        fmin(fmax((double)slew_ppm_per_s, k_slew_ppm_per_s), k_max_slew_ppm_per_s);
    const int divisor = ae_greatest_common_divisor(self->input_rate_hz, self->output_rate_hz);
    self->slew_units = slew_units(clamped, self->input_rate_hz / divisor, self->output_rate_hz);
}

float ae_resample_ppm(const ae_resample *self)
{
    return (float)(1e6 * (double)self->steer_units / step_of(self));
}

static int64_t step_towards(int64_t value, int64_t target, int64_t most)
{
    if (value < target) return target - value > most ? value + most : target;
    return value - target > most ? value - most : target;
}

static void advance(ae_resample *self)
{
    self->next += self->step_frames;
    self->units += self->step_units + self->steer_units;
    if (self->units < 0) {
        self->units += self->frame_units;
        self->next--;
    }
    while (self->units >= self->frame_units) {
        self->units -= self->frame_units;
        self->next++;
    }
    if (self->steer_units != self->steer_target_units)
        self->steer_units =
            step_towards(self->steer_units, self->steer_target_units, self->slew_units);
}

/* The sum of k_lanes partial sums. A reduction clause would be shorter, but gcc adds its lanes up
 * one by one through memory: 25 ns per call of 192 taps against 13 (gcc 12, x86-64-v3). */
static float add_lanes(const float *lanes)
{
    float sum[k_lanes / 2];
#pragma omp simd
    for (int j = 0; j < 8; j++) sum[j] = lanes[j] + lanes[j + 8];
#pragma omp simd
    for (int j = 0; j < 4; j++) sum[j] += sum[j + 4];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* Not inlined: in a larger loop gcc 12 keeps the lanes in memory (30 ns). */
__attribute__((noinline)) static float dot(const float *restrict x, const float *restrict row,
                                           int taps)
{
    float at_row[k_lanes] = {0.0f};
    for (int k = 0; k < taps; k += k_lanes) {
#pragma omp simd
        for (int j = 0; j < k_lanes; j++) at_row[j] += x[k + j] * row[k + j];
    }
    return add_lanes(at_row);
}

/* The same at `weight` of the way from this row to the next one. */
__attribute__((noinline)) static float
dot_between(const float *restrict x, const float *restrict row, int taps, float weight)
{
    const float *restrict next_row = row + taps;
    float at_row[k_lanes] = {0.0f}, at_next[k_lanes] = {0.0f};
    for (int k = 0; k < taps; k += k_lanes) {
#pragma omp simd
        for (int j = 0; j < k_lanes; j++) {
            at_row[j] += x[k + j] * row[k + j];
            at_next[j] += x[k + j] * next_row[k + j];
        }
    }
#pragma omp simd
    for (int j = 0; j < k_lanes; j++) at_row[j] += weight * (at_next[j] - at_row[j]);
    return add_lanes(at_row);
}

/* Writes output frame `frame` for the position of `next` and `units`. */
static void interpolate(const ae_resample *self, float *const *out, int frame)
{
    int64_t units = self->units - self->delay_units;
    int start = self->next - self->delay_frames - self->half + 1;
    if (units < 0) {
        units += self->frame_units;
        start--;
    }
    /* Exact where the grid divides the rows: the weight is then zero unless steered. */
    const double position = (double)units * self->rows_per_unit;
    const int r = (int)position;
    const float weight = (float)(position - r);
    const int taps = 2 * self->half;
    const float *row = self->table + (size_t)r * (size_t)taps;
    for (int c = 0; c < self->channels; c++) {
        const float *x = self->buffer[c] + start;
        out[c][frame] = weight == 0.0f ? dot(x, row, taps) : dot_between(x, row, taps, weight);
    }
}

static void append(ae_resample *self, const float *const *in, int offset, int frames)
{
    if (self->fill == self->capacity) {
        const int dropped = self->fill - self->history;
        for (int c = 0; c < self->channels; c++)
            memmove(self->buffer[c], self->buffer[c] + dropped,
                    (size_t)self->history * sizeof(float));
        self->fill -= dropped;
        self->next -= dropped;
    }
    for (int c = 0; c < self->channels; c++)
        ae_copy(self->buffer[c] + self->fill, in[c] + offset, frames);
    self->fill += frames;
}

int ae_resample_process(ae_resample *self, const float *const *in, int in_frames, float *const *out,
                        int out_capacity)
{
    assert(out_capacity >= ae_resample_output_bound(self, in_frames));
    int written = 0;
    for (int taken = 0, frames; taken < in_frames; taken += frames) {
        const int room = self->capacity - self->fill;
        frames = in_frames - taken;
        if (frames > (room > 0 ? room : k_chunk_frames)) frames = room > 0 ? room : k_chunk_frames;
        append(self, in, taken, frames);
        for (; self->next < self->fill; advance(self))
            if (written < out_capacity) interpolate(self, out, written++);
    }
    return written;
}
