#include "ae_delay.h"

#include "ae_drift.h"
#include "ae_fft.h"
#include "ae_math.h"

static const int k_low_rate_hz = 8000; /* speech and music have their energy below 4 kHz */
static const float k_block_ms = 40.0f; /* 12.5 Hz bins resolve the pitch, so it is whitened */
static const float k_smoothing_ms =
    300.0f; /* shorter: more false peaks; longer: slow after a jump */
static const float k_low_band_hz = 200.0f;   /* loudspeakers give nothing below */
static const float k_high_band_hz = 3500.0f; /* the decimator's pass band ends */
static const float k_quality = 9.0f;         /* notes/aec.md 2.1: chance peaks stay below 6 */
/* ... and six times above its own partition, less what lies near it. There a single frame after a
 * pause can be coherent by chance (2.6 to 4.2 seen); an echo reaches 10 to 27. */
static const float k_own_quality = 6.0f, k_own_reach_ms = 3.0f;
static const float k_drift_quality =
    8.0f;                                 /* a pair of peaks averages over what is left to chance */
static const float k_agreement_ms = 3.0f; /* of three successive peaks */
static const float k_early_share = 0.6f;  /* of the highest peak: an earlier one is preferred */
static const float k_early_ms = 20.0f;    /* how much earlier */
static const float k_forget = 0.3f;       /* what is kept of the past when the path has changed */
static const float k_silence = 1e-9f;     /* mean power, -90 dBFS */
static const float k_least_power = 1e-9f; /* of a bin: far below -90 dBFS over 640 frames */
enum { k_calls_per_round = 3, k_agreeing = 3, k_taps_per_step = 8 };

struct ae_delay {
    ae_delay_config config;
    ae_fft *fft;
    ae_drift *drift;
    int step;  /* decimation factor */
    int taps;  /* of its low-pass filter */
    int block; /* decimated samples per round */
    int bins, stride, partitions;
    int from_bin, to_bin;
    float keep; /* smoothing per round */
    float low_rate_hz;
    float *filter;
    float *capture_line, *far_line; /* taps + input block: the decimator's memory */
    float *capture_fill, *far_fill; /* block, 2 block: the round in the making */
    float *far_re, *far_im;         /* ring of far spectra */
    float *cross_re, *cross_im;     /* smoothed cross-spectra: partitions x stride */
    float *capture_re, *capture_im;
    float *far_power, *capture_power; /* smoothed, bins */
    float *far_weight;                /* ring of 1 / sqrt(far_power) as it was at that block */
    float *capture_weight;            /* 1 / sqrt(capture_power) */
    float *scratch_re, *scratch_im, *time;
    float *correlation; /* partitions x block */
    float *slot_power;  /* far power per ring slot */
    int phase;          /* input frames until the next decimated sample */
    int filled;         /* samples in the round in the making */
    int head;           /* ring slot of the newest far spectrum */
    int next;     /* partition the running round goes on with; partitions: to be judged; -1: idle */
    int agreeing; /* rounds in a row that found the same peak */
    int last_peak;
    ae_delay_report report;
};

static size_t lay_out(ae_delay *self, void *memory)
{
    ae_arena arena = {memory, 0};
    const int input = ae_block_frames(self->config.sample_rate_hz);
    const int ring = self->partitions * self->stride;
    AE_TAKE(&arena, 1, ae_delay);
    self->filter = AE_TAKE(&arena, self->taps, float);
    self->capture_line = AE_TAKE(&arena, self->taps + input, float);
    self->far_line = AE_TAKE(&arena, self->taps + input, float);
    self->capture_fill = AE_TAKE(&arena, self->block, float);
    self->far_fill = AE_TAKE(&arena, 2 * self->block, float);
    self->far_re = AE_TAKE(&arena, ring, float);
    self->far_im = AE_TAKE(&arena, ring, float);
    self->cross_re = AE_TAKE(&arena, ring, float);
    self->cross_im = AE_TAKE(&arena, ring, float);
    self->far_weight = AE_TAKE(&arena, ring, float);
    float **planes[] = {&self->capture_re,    &self->capture_im,     &self->far_power,
                        &self->capture_power, &self->capture_weight, &self->scratch_re,
                        &self->scratch_im};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
        *planes[i] = AE_TAKE(&arena, self->stride, float);
    self->time = AE_TAKE(&arena, 2 * self->block, float);
    self->correlation = AE_TAKE(&arena, self->partitions * self->block, float);
    self->slot_power = AE_TAKE(&arena, self->partitions, float);
    return arena.used;
}

/* Low-pass of the decimator: Hann-windowed sinc, cut at 0.45 of the low rate. */
static void design_filter(float *filter, int taps, int step)
{
    const float cutoff = 0.45f / (float)step; /* cycles per input frame */
    float sum = 0.0f;
    for (int i = 0; i < taps; i++) {
        const float at = (float)i - 0.5f * (float)(taps - 1);
        const float sinc =
            at == 0.0f ? 2.0f * cutoff : sinf(2.0f * k_ae_pi * cutoff * at) / (k_ae_pi * at);
        filter[i] = sinc * (0.5f - 0.5f * cosf(2.0f * k_ae_pi * ((float)i + 0.5f) / (float)taps));
        sum += filter[i];
    }
    for (int i = 0; i < taps; i++) filter[i] /= sum;
}

ae_status ae_delay_create(ae_delay **out, const ae_delay_config *config)
{
    *out = NULL;
    if (config->sample_rate_hz < AE_MIN_RATE_HZ || config->sample_rate_hz > AE_MAX_RATE_HZ ||
        config->max_delay_ms < 0 || config->max_delay_ms > 1000)
        return AE_ERROR_ARGUMENT;
    ae_delay shape = {.config = *config};
    shape.step = config->sample_rate_hz / k_low_rate_hz;
    shape.low_rate_hz = (float)config->sample_rate_hz / (float)shape.step;
    shape.taps = shape.step == 1 ? 1 : k_taps_per_step * shape.step;
    const float block_frames = k_block_ms * 0.001f * shape.low_rate_hz;
    const int fft_size = ae_fft_good_size(2 * (int)ceilf(block_frames));
    shape.block = fft_size / 2;
    shape.bins = shape.block + 1;
    shape.stride = (shape.bins + 15) & ~15;
    const float lags = (float)config->max_delay_ms * 0.001f * shape.low_rate_hz;
    shape.partitions = 1 + (int)(lags / (float)shape.block);
    const float hz = shape.low_rate_hz / (float)fft_size;
    shape.from_bin = (int)(k_low_band_hz / hz);
    shape.to_bin = (int)(k_high_band_hz / hz);
    shape.keep =
        1.0f - ae_one_pole(k_smoothing_ms, (float)shape.block * 1000.0f / shape.low_rate_hz);
    ae_delay *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    const ae_drift_config drift = {self->low_rate_hz / (float)self->block};
    ae_status status = ae_fft_create(&self->fft, fft_size);
    if (status == AE_OK) status = ae_drift_create(&self->drift, &drift);
    if (status != AE_OK) {
        ae_delay_destroy(self);
        return status;
    }
    design_filter(self->filter, self->taps, self->step);
    ae_delay_reset(self);
    *out = self;
    return AE_OK;
}

void ae_delay_destroy(ae_delay *self)
{
    if (self == NULL) return;
    ae_fft_destroy(self->fft);
    ae_drift_destroy(self->drift);
    ae_free(self);
}

void ae_delay_forget(ae_delay *self)
{
    const int ring = self->partitions * self->stride;
    for (int i = 0; i < ring; i++) {
        self->cross_re[i] *= k_forget;
        self->cross_im[i] *= k_forget;
    }
    for (int k = 0; k < self->bins; k++) self->capture_power[k] *= k_forget;
}

void ae_delay_restart_drift(ae_delay *self)
{
    ae_drift_reset(self->drift);
    self->report.drift_ppm = 0.0f;
    self->report.drift_pairs = 0;
}

void ae_delay_moved(ae_delay *self)
{
    const int ring = self->partitions * self->stride;
    ae_zero(self->cross_re, ring);
    ae_zero(self->cross_im, ring);
    ae_zero(self->capture_power, self->stride);
    self->agreeing = 0;
    ae_delay_restart_drift(self);
}

void ae_delay_reset(ae_delay *self)
{
    const int input = ae_block_frames(self->config.sample_rate_hz);
    ae_delay_moved(self);
    ae_zero(self->capture_line, self->taps + input);
    ae_zero(self->far_line, self->taps + input);
    ae_zero(self->capture_fill, self->block);
    ae_zero(self->far_fill, 2 * self->block);
    ae_zero(self->far_re, self->partitions * self->stride);
    ae_zero(self->far_im, self->partitions * self->stride);
    ae_zero(self->far_weight, self->partitions * self->stride);
    ae_zero(self->far_power, self->stride);
    ae_zero(self->slot_power, self->partitions);
    self->phase = self->filled = self->head = self->last_peak = 0;
    self->next = -1;
    self->report = (ae_delay_report){.lag_frames = -1.0f};
}

void ae_delay_read(const ae_delay *self, ae_delay_report *out) { *out = self->report; }

static float filtered(const float *restrict filter, const float *restrict line, int taps)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < taps; i++) sum += filter[i] * line[i];
    return sum;
}

static int highest_peak(const float *g, int lags)
{
    int peak = 0;
    for (int i = 1; i < lags; i++)
        if (fabsf(g[i]) > fabsf(g[peak])) peak = i;
    return peak;
}

/* The earliest strong peak shortly before the highest one: the direct path. */
static int first_arrival(const ae_delay *self, int peak)
{
    const float *g = self->correlation;
    const int earliest = peak - (int)(k_early_ms * 0.001f * self->low_rate_hz);
    const float least = k_early_share * fabsf(g[peak]);
    int first = peak;
    for (int i = peak - 1; i >= 0 && i >= earliest; i--) {
        const float here = fabsf(g[i]);
        if (here > least && here >= fabsf(g[i + 1]) && (i == 0 || here >= fabsf(g[i - 1])))
            first = i;
    }
    return first;
}

/* Lag of a peak to a fraction of a decimated sample: parabola through three points. */
static float refined(const float *g, int lags, int at)
{
    if (at <= 0 || at >= lags - 1) return (float)at;
    const float before = fabsf(g[at - 1]), after = fabsf(g[at + 1]);
    const float bend = before - 2.0f * fabsf(g[at]) + after;
    if (bend > -1e-12f) return (float)at;
    return (float)at + ae_clamp(0.5f * (before - after) / bend, -0.5f, 0.5f);
}

static void follow_drift(ae_delay *self, int peak)
{
    if (self->report.quality < k_drift_quality) {
        ae_drift_skip(self->drift);
        return;
    }
    ae_drift_update(self->drift, self->correlation, self->partitions * self->block, peak);
    self->report.drift_pairs = ae_drift_pairs(self->drift);
    self->report.drift_ppm = 1e6f * ae_drift_samples_per_second(self->drift) / self->low_rate_hz;
}

/* Peak over the root mean square of the partition it lies in, less its neighbourhood. */
static float own_quality(const ae_delay *self, int peak)
{
    const int from = peak / self->block * self->block;
    const int reach = (int)(k_own_reach_ms * 0.001f * self->low_rate_hz);
    float energy = 1e-12f;
    int count = 1;
    for (int i = from; i < from + self->block; i++) {
        if (i >= peak - reach && i <= peak + reach) continue;
        energy += self->correlation[i] * self->correlation[i];
        count++;
    }
    return fabsf(self->correlation[peak]) / sqrtf(energy / (float)count);
}

/* All lags of a round are there: is there a peak, and is it where it was? */
static void judge(ae_delay *self)
{
    const int lags = self->partitions * self->block;
    const float *g = self->correlation;
    const int peak = highest_peak(g, lags);
    const float rms = sqrtf(ae_energy(g, lags) / (float)lags);
    self->report.rounds++;
    self->report.quality = fabsf(g[peak]) / (rms + 1e-12f);
    follow_drift(self, peak);
    const int tolerance = (int)(k_agreement_ms * 0.001f * self->low_rate_hz);
    const int distance = peak > self->last_peak ? peak - self->last_peak : self->last_peak - peak;
    self->last_peak = peak;
    if (own_quality(self, peak) < k_own_quality)
        self->report.quality = fminf(self->report.quality, 0.99f * k_quality);
    if (self->report.quality < k_quality)
        self->agreeing = 0;
    else
        self->agreeing = distance < tolerance ? self->agreeing + 1 : 1;
    if (self->agreeing < k_agreeing) return;
    self->report.lag_frames = refined(g, lags, first_arrival(self, peak)) * (float)self->step;
    self->report.accepted++;
}

/* Cross-spectrum of one lag partition: smooth it, weigh it, back to lags. */
static void correlate(ae_delay *self, int partition)
{
    const int slot = (self->head + partition) % self->partitions;
    const float *restrict xr = self->far_re + slot * self->stride;
    const float *restrict xi = self->far_im + slot * self->stride;
    float *restrict cr = self->cross_re + partition * self->stride;
    float *restrict ci = self->cross_im + partition * self->stride;
    const float *restrict dr = self->capture_re, *restrict di = self->capture_im;
    const float *restrict far_weight = self->far_weight + slot * self->stride;
    const float *restrict capture_weight = self->capture_weight;
    float *restrict re = self->scratch_re, *restrict im = self->scratch_im;
    const float keep = self->keep, take = 1.0f - keep;
#pragma omp simd
    for (int k = self->from_bin; k < self->to_bin; k++) {
        cr[k] = keep * cr[k] + take * (dr[k] * xr[k] + di[k] * xi[k]);
        ci[k] = keep * ci[k] + take * (di[k] * xr[k] - dr[k] * xi[k]);
        const float weight = far_weight[k] * capture_weight[k];
        re[k] = weight * cr[k];
        im[k] = weight * ci[k];
    }
    ae_fft_inverse(self->fft, re, im, self->time);
    float *lags = self->correlation + partition * self->block;
    ae_copy(lags, self->time, self->block);
}

static void advance_round(ae_delay *self, int partitions)
{
    if (self->next < 0) return;
    for (; partitions > 0 && self->next < self->partitions; partitions--)
        correlate(self, self->next++);
    if (partitions == 0) return;
    judge(self);
    self->next = -1;
}

/* power follows |spectrum|^2; weight = 1 / sqrt(power). */
static void whiten(const ae_delay *self, const float *restrict re, const float *restrict im,
                   float *restrict power, float *restrict weight)
{
    const float keep = self->keep, take = 1.0f - keep;
#pragma omp simd
    for (int k = self->from_bin; k < self->to_bin; k++) {
        power[k] = keep * power[k] + take * (re[k] * re[k] + im[k] * im[k]);
        weight[k] = 1.0f / sqrtf(power[k] + k_least_power);
    }
}

/* A block of decimated samples is complete: transform it and open a round. */
static void open_round(ae_delay *self)
{
    const int block = self->block;
    advance_round(self, self->partitions + 1); /* what is left of the last one */
    self->head = (self->head + self->partitions - 1) % self->partitions;
    float *far_re = self->far_re + self->head * self->stride;
    float *far_im = self->far_im + self->head * self->stride;
    float *far_weight = self->far_weight + self->head * self->stride;
    ae_fft_forward(self->fft, self->far_fill, far_re, far_im);
    self->slot_power[self->head] = ae_energy(self->far_fill, 2 * block) / (float)(2 * block);
    whiten(self, far_re, far_im, self->far_power, far_weight);
    ae_copy(self->far_fill, self->far_fill + block, block);
    self->filled = 0;
    float loudest = 0.0f;
    for (int i = 0; i < self->partitions; i++) loudest = fmaxf(loudest, self->slot_power[i]);
    if (loudest < k_silence || ae_energy(self->capture_fill, block) < k_silence * (float)block) {
        ae_drift_skip(self->drift);
        return;
    }
    ae_zero(self->time, block);
    ae_copy(self->time + block, self->capture_fill, block);
    ae_fft_forward(self->fft, self->time, self->capture_re, self->capture_im);
    whiten(self, self->capture_re, self->capture_im, self->capture_power, self->capture_weight);
    self->next = 0;
}

void ae_delay_process(ae_delay *self, const float *capture, const float *far_end)
{
    const int input = ae_block_frames(self->config.sample_rate_hz), taps = self->taps;
    ae_copy(self->capture_line + taps - 1, capture, input);
    ae_copy(self->far_line + taps - 1, far_end, input);
    int at = self->phase;
    for (; at < input; at += self->step) {
        self->capture_fill[self->filled] = filtered(self->filter, self->capture_line + at, taps);
        self->far_fill[self->block + self->filled] =
            filtered(self->filter, self->far_line + at, taps);
        if (++self->filled == self->block) open_round(self);
    }
    self->phase = at - input;
    memmove(self->capture_line, self->capture_line + input, (size_t)(taps - 1) * sizeof(float));
    memmove(self->far_line, self->far_line + input, (size_t)(taps - 1) * sizeof(float));
    advance_round(self, (self->partitions + k_calls_per_round - 1) / k_calls_per_round);
}
