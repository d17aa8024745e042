#include "ae_hum.h"

#include "ae_hum_search.h"
#include "ae_math.h"

enum {
    k_lines_most = 48,
    k_reach = 8,                /* bins each side; the window's side lobes are 45 dB down there */
    k_spread = 2 * k_reach + 1, /* bins that a line is subtracted from */
    k_fine = 64,                /* entries per bin of the window's transform */
    k_table = 2 * (k_reach + 1) * k_fine + 2,
    k_bins_most = 192,  /* that are touched; the mean's while searching */
    k_first_hops = 12,  /* any step is taken: there is no quiet residual yet */
    k_settle_hops = 25, /* before anything is subtracted */
};

static const float k_highest_hz = 2400.0f;
static const float k_rate_least = 0.01f; /* 1 s */
static const float k_step_most = 4.0f;   /* power of a step over the quiet residual */
static const float k_quiet_up = 0.001f, k_quiet_down = 0.04f;
static const float k_unsure = 0.1f; /* line's power over the residual's that is all noise */
static const float k_benefit_ms = 300.0f, k_benefit_least = -0.3f;
static const float k_power_least = 1e-16f, k_power_most = 1e12f;
static const float k_loop_rad_s = 5.0f;   /* follows 0.02 Hz/s; speech in a line shakes it little */
static const float k_base_span_hz = 0.6f; /* further away is no mains */

typedef struct {
    float re, im; /* amplitude, half the sine's */
    float quiet;  /* power of the residual while nobody speaks */
    float sure;   /* 0 .. 1 */
} amplitude;

typedef struct {
    int centre, first;                /* bins */
    int image_count;                  /* bins from 0 that see the mirror image */
    float own_re, own_im;             /* 1 / the window's transform at `centre` */
    float re[k_spread], im[k_spread]; /* the line in first .. first + k_spread - 1 */
    float image_re[k_spread], image_im[k_spread];
} spread;

struct ae_hum {
    int bins, channels, line_limit, lines;
    float bin_hz, hop_s;
    ae_hum_search *search;
    float nominal_hz;      /* 0: searching */
    double base_hz, phase; /* phase: turns of the base at the frame's start */
    int hops;              /* since found, held at a large number */
    int refreshed;         /* line whose spread is brought up to date next */
    float benefit;         /* smoothed; 1/2: all hum, -1: none */
    float table_re[k_table], table_im[k_table];
    spread spreads[k_lines_most];
    amplitude amplitudes[AE_MAX_CHANNELS][k_lines_most];
    int touched;      /* bins from 0 that the lines reach */
    int removed_bins; /* 0: nothing was subtracted in this hop */
    float removed_re[AE_MAX_CHANNELS][k_bins_most], removed_im[AE_MAX_CHANNELS][k_bins_most];
    float sum_re[k_bins_most], sum_im[k_bins_most];
};

/* Transform of the window at the distances -(k_reach + 1) .. k_reach + 1 bins. */
static void make_table(ae_hum *self, const ae_hum_config *config)
{
    for (int i = 0; i < k_table; i++) {
        const double bins = (double)i / k_fine - (k_reach + 1);
        const double angle = -2.0 * 3.14159265358979323846 * bins / config->fft_size;
        const double step_re = cos(angle), step_im = sin(angle);
        double turn_re = 1.0, turn_im = 0.0, sum_re = 0.0, sum_im = 0.0;
        for (int n = 0; n < config->window_frames; n++) {
            sum_re += (double)config->window[n] * turn_re;
            sum_im += (double)config->window[n] * turn_im;
            const double next_re = turn_re * step_re - turn_im * step_im;
            turn_im = turn_re * step_im + turn_im * step_re;
            turn_re = next_re;
        }
        self->table_re[i] = (float)sum_re;
        self->table_im[i] = (float)sum_im;
    }
}

ae_status ae_hum_create(ae_hum **out, const ae_hum_config *config)
{
    *out = NULL;
    if (config->bins < 2 * k_spread || config->fft_size != 2 * (config->bins - 1) ||
        config->channels < 1 || config->channels > AE_MAX_CHANNELS ||
        config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->window == NULL || config->window_frames < 1 ||
        config->window_frames > config->fft_size)
        return AE_ERROR_ARGUMENT;
    const float hop_s = (float)config->hop_frames / (float)config->sample_rate_hz;
    const float bin_hz = (float)config->sample_rate_hz / (float)config->fft_size;
    ae_hum_search *search = NULL;
    const ae_hum_search_config found = {config->bins, bin_hz, hop_s};
    const ae_status status = ae_hum_search_create(&search, &found);
    if (status != AE_OK) return status;
    ae_hum *self = ae_allocate(sizeof(ae_hum));
    if (self == NULL) {
        ae_hum_search_destroy(search);
        return AE_ERROR_MEMORY;
    }
    self->bins = config->bins;
    self->channels = config->channels;
    self->search = search;
    self->bin_hz = bin_hz;
    self->hop_s = hop_s;
    make_table(self, config);
    ae_hum_reset(self);
    *out = self;
    return AE_OK;
}

void ae_hum_destroy(ae_hum *self)
{
    if (self == NULL) return;
    ae_hum_search_destroy(self->search);
    ae_free(self);
}

static void stop(ae_hum *self)
{
    ae_hum_search_reset(self->search);
    self->nominal_hz = 0.0f;
    self->hops = 0;
}

void ae_hum_reset(ae_hum *self)
{
    stop(self);
    self->removed_bins = 0;
}

float ae_hum_hz(const ae_hum *self)
{
    return self->nominal_hz > 0.0f && self->hops >= k_settle_hops ? (float)self->base_hz : 0.0f;
}

static void transform_at(const ae_hum *self, float bins, float *re, float *im)
{
    const float at = (bins + (float)(k_reach + 1)) * (float)k_fine;
    const int low = ae_clamp_int((int)at, 0, k_table - 2);
    const float part = at - (float)low;
    *re = self->table_re[low] + part * (self->table_re[low + 1] - self->table_re[low]);
    *im = self->table_im[low] + part * (self->table_im[low + 1] - self->table_im[low]);
}

/* How line h (1 for the base) lies in the bins, and its mirror image at negative frequency. */
static void spread_line(ae_hum *self, int h)
{
    spread *line = &self->spreads[h - 1];
    const float at = (float)self->base_hz * (float)h / self->bin_hz;
    line->centre = (int)(at + 0.5f);
    line->first = line->centre > k_reach ? line->centre - k_reach : 0;
    for (int i = 0; i < k_spread; i++) {
        const float distance = (float)(line->first + i) - at;
        line->re[i] = line->im[i] = 0.0f;
        if (distance < (float)(k_reach + 1))
            transform_at(self, distance, &line->re[i], &line->im[i]);
    }
    float re, im;
    transform_at(self, (float)line->centre - at, &re, &im);
    const float scale = 1.0f / (re * re + im * im);
    line->own_re = re * scale;
    line->own_im = -im * scale;
    line->image_count = ae_clamp_int((int)((float)(k_reach + 1) - at), 0, k_spread);
    for (int k = 0; k < line->image_count; k++)
        transform_at(self, (float)k + at, &line->image_re[k], &line->image_im[k]);
}

static void begin(ae_hum *self, float base_hz)
{
    self->nominal_hz = base_hz < 55.0f ? 50.0f : 60.0f;
    self->base_hz = (double)base_hz;
    self->phase = 0.0;
    self->hops = self->refreshed = 0;
    self->benefit = 0.5f;
    const int bins = self->bins < k_bins_most ? self->bins : k_bins_most;
    const float span_hz = (float)(bins - 1 - k_spread) * self->bin_hz;
    const float highest_hz = ae_min(k_highest_hz, span_hz);
    self->lines = ae_clamp_int((int)(highest_hz / (base_hz + 0.5f)), 1, k_lines_most);
    for (int h = 1; h <= self->lines; h++) spread_line(self, h);
    self->touched = self->spreads[self->lines - 1].first + k_spread;
    memset(self->amplitudes, 0, sizeof self->amplitudes);
}

static void find(ae_hum *self, float *const *re, float *const *im)
{
    const int bins = self->bins < k_bins_most ? self->bins : k_bins_most;
    const float *from_re = re[0], *from_im = im[0];
    if (self->channels > 1) {
        ae_copy(self->sum_re, re[0], bins);
        ae_copy(self->sum_im, im[0], bins);
        for (int c = 1; c < self->channels; c++)
            for (int k = 0; k < bins; k++) {
                self->sum_re[k] += re[c][k];
                self->sum_im[k] += im[c][k];
            }
        from_re = self->sum_re;
        from_im = self->sum_im;
    }
    const float base_hz = ae_hum_search_update(self->search, from_re, from_im);
    if (base_hz > 0.0f) begin(self, base_hz);
}

/* sine_re, sine_im: the line's, at the frame's start. */
static void add_line(const spread *line, float sine_re, float sine_im, float *restrict re,
                     float *restrict im)
{
    float *restrict to_re = re + line->first, *restrict to_im = im + line->first;
#pragma omp simd
    for (int i = 0; i < k_spread; i++) {
        to_re[i] += sine_re * line->re[i] - sine_im * line->im[i];
        to_im[i] += sine_re * line->im[i] + sine_im * line->re[i];
    }
    for (int k = 0; k < line->image_count; k++) { /* the conjugate of the sine */
        re[k] += sine_re * line->image_re[k] + sine_im * line->image_im[k];
        im[k] += sine_re * line->image_im[k] - sine_im * line->image_re[k];
    }
}

/* Moves one amplitude towards the residual; returns what the line says about phase and benefit. */
typedef struct {
    float phase, phase_weight, benefit, benefit_weight;
} verdict;

static void learn_line(amplitude *line, float z_re, float z_im, int h, int hops, verdict *sum)
{
    float e_re = z_re - line->re, e_im = z_im - line->im;
    const float error = e_re * e_re + e_im * e_im, size = line->re * line->re + line->im * line->im;
    const float heard = z_re * z_re + z_im * z_im;
    sum->benefit += size * (heard - error) / (heard + size + k_power_least);
    sum->benefit_weight += size;
    const float most = k_step_most * line->quiet;
    if (hops < k_first_hops) {
        line->quiet += (error - line->quiet) / (1.0f + (float)hops);
    } else {
        const float change = ae_min(error, most) - line->quiet;
        line->quiet += (change > 0.0f ? k_quiet_up : k_quiet_down) * change;
        line->quiet = ae_max(line->quiet, k_power_least);
        if (error > most) {
            const float cut = sqrtf(most / error);
            e_re *= cut;
            e_im *= cut;
        }
        const float weight = line->sure / line->quiet;
        sum->phase += weight * (float)h * (e_im * line->re - e_re * line->im);
        sum->phase_weight += weight * (float)(h * h) * size;
    }
    const float rate = ae_max(1.0f / (1.0f + (float)hops), k_rate_least);
    line->re += rate * e_re;
    line->im += rate * e_im;
    const float now = line->re * line->re + line->im * line->im;
    line->sure = hops < k_first_hops
                     ? 0.0f
                     : ae_max(1.0f - k_unsure * line->quiet / (now + k_power_least), 0.0f);
}

/* The base's and its multiples' phasors at the frame's start. */
static void turn_lines(const ae_hum *self, float *turn_re, float *turn_im)
{
    const float angle = 2.0f * k_ae_pi * (float)self->phase;
    const float step_re = cosf(angle), step_im = sinf(angle);
    turn_re[0] = step_re;
    turn_im[0] = step_im;
    for (int h = 1; h < self->lines; h++) {
        turn_re[h] = turn_re[h - 1] * step_re - turn_im[h - 1] * step_im;
        turn_im[h] = turn_re[h - 1] * step_im + turn_im[h - 1] * step_re;
    }
}

static int is_audio(const ae_hum *self, const float *re, const float *im)
{
    float power = 0.0f;
    for (int h = 0; h < self->lines; h++) {
        const int k = self->spreads[h].centre;
        power += re[k] * re[k] + im[k] * im[k];
    }
    return power < k_power_most; /* false for NaN */
}

/* Subtracts all lines of a channel, then learns from what is left. */
static void cancel(ae_hum *self, int channel, const float *turn_re, const float *turn_im, float *re,
                   float *im, verdict *sum)
{
    amplitude *amplitudes = self->amplitudes[channel];
    float *restrict removed_re = self->removed_re[channel];
    float *restrict removed_im = self->removed_im[channel];
    const int settled = self->hops >= k_settle_hops, bins = self->touched;
    self->removed_bins = settled ? bins : 0;
    if (settled) {
        ae_zero(removed_re, bins);
        ae_zero(removed_im, bins);
        for (int h = 0; h < self->lines; h++) {
            const float a_re = amplitudes[h].sure * amplitudes[h].re;
            const float a_im = amplitudes[h].sure * amplitudes[h].im;
            if (amplitudes[h].sure > 0.0f)
                add_line(&self->spreads[h], a_re * turn_re[h] - a_im * turn_im[h],
                         a_re * turn_im[h] + a_im * turn_re[h], removed_re, removed_im);
        }
#pragma omp simd
        for (int k = 0; k < bins; k++) {
            re[k] -= removed_re[k];
            im[k] -= removed_im[k];
        }
    }
    for (int h = 0; h < self->lines; h++) {
        const spread *line = &self->spreads[h];
        const float part = settled ? amplitudes[h].sure : 0.0f;
        const float x_re = re[line->centre], x_im = im[line->centre];
        const float own_re = x_re * line->own_re - x_im * line->own_im;
        const float own_im = x_re * line->own_im + x_im * line->own_re;
        const float z_re = own_re * turn_re[h] + own_im * turn_im[h] + part * amplitudes[h].re;
        const float z_im = own_im * turn_re[h] - own_re * turn_im[h] + part * amplitudes[h].im;
        learn_line(&amplitudes[h], z_re, z_im, h + 1, self->hops, sum);
    }
}

/* The loop's step; 0 where the base has left the mains or the hum is gone. */
static int follow(ae_hum *self, const verdict *sum)
{
    const float turn = sum->phase / (sum->phase_weight + k_power_least); /* radians */
    const float held = ae_clamp(turn, -0.1f, 0.1f);
    const float natural = k_loop_rad_s * self->hop_s;
    self->phase += (double)(2.0f * natural * held / (2.0f * k_ae_pi));
    self->base_hz += (double)(natural * natural * held / (2.0f * k_ae_pi * self->hop_s));
    const float benefit = sum->benefit / (sum->benefit_weight + k_power_least);
    if (self->hops > k_settle_hops)
        self->benefit +=
            ae_one_pole(k_benefit_ms, 1000.0f * self->hop_s) * (benefit - self->benefit);
    return self->benefit > k_benefit_least &&
           fabsf((float)self->base_hz - self->nominal_hz) < k_base_span_hz;
}

void ae_hum_remove(ae_hum *self, float *const *re, float *const *im)
{
    self->removed_bins = 0;
    if (self->nominal_hz == 0.0f) {
        find(self, re, im);
        return;
    }
    for (int c = 0; c < self->channels; c++) {
        if (is_audio(self, re[c], im[c])) continue;
        ae_hum_reset(self);
        return;
    }
    float turn_re[k_lines_most], turn_im[k_lines_most];
    verdict sum = {0};
    turn_lines(self, turn_re, turn_im);
    for (int c = 0; c < self->channels; c++) cancel(self, c, turn_re, turn_im, re[c], im[c], &sum);
    const int goes_on = follow(self, &sum);
    const double phase = self->phase + self->base_hz * (double)self->hop_s;
    self->phase = phase - (double)(int)phase;
    self->refreshed = (self->refreshed + 1) % self->lines;
    spread_line(self, self->refreshed + 1);
    if (self->hops < 1000000) self->hops++;
    if (!goes_on) stop(self);
}

void ae_hum_restore(const ae_hum *self, float share, float *const *re, float *const *im)
{
    for (int c = 0; c < self->channels; c++) {
        const float *restrict removed_re = self->removed_re[c];
        const float *restrict removed_im = self->removed_im[c];
        float *restrict to_re = re[c], *restrict to_im = im[c];
#pragma omp simd
        for (int k = 0; k < self->removed_bins; k++) {
            to_re[k] += share * removed_re[k];
            to_im[k] += share * removed_im[k];
        }
    }
}
