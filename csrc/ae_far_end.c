#include "ae_far_end.h"

#include "ae_fft.h"
#include "ae_math.h"

static const float k_bend_level = 0.25f; /* -12 dBFS: where small loudspeakers begin to give way */
enum { k_taps = 2 * AE_FAR_END_REACH, k_phases = 256 };

struct ae_far_end {
    ae_far_end_config config;
    ae_fft *fft;
    int stride;
    int frames; /* of the sample ring */
    int write;
    double delay;                    /* age of the newest delayed frame */
    double skew;                     /* frames the delay grows per frame */
    float *ring[AE_FAR_CHANNELS];    /* frames + k_taps: its start is repeated behind its end */
    float *sinc;                     /* k_phases x k_taps */
    float *segment[AE_FAR_CHANNELS]; /* fft_size: time signal of partition 0 */
    float *scratch;                  /* fft_size */
    float *bent;                     /* fft_size */
    ae_far_spectra spectra;
};

static size_t lay_out(ae_far_end *self, void *memory)
{
    ae_arena arena = {memory, 0};
    AE_TAKE(&arena, 1, ae_far_end);
    for (int c = 0; c < self->config.channels; c++) {
        self->ring[c] = AE_TAKE(&arena, self->frames + k_taps, float);
        self->segment[c] = AE_TAKE(&arena, self->config.fft_size, float);
    }
    self->sinc = AE_TAKE(&arena, k_phases * k_taps, float);
    self->scratch = AE_TAKE(&arena, self->config.fft_size, float);
    self->bent = AE_TAKE(&arena, self->config.fft_size, float);
    self->spectra.re = AE_TAKE(&arena, ae_far_spectra_rows(&self->spectra) * self->stride, float);
    self->spectra.im = AE_TAKE(&arena, ae_far_spectra_rows(&self->spectra) * self->stride, float);
    return arena.used;
}

/* Row p reads the signal p / k_phases after the frame that tap AE_FAR_END_REACH - 1 lies on. */
static void fill_sinc(float *sinc)
{
    for (int p = 0; p < k_phases; p++)
        for (int i = 0; i < k_taps; i++) {
            const double at = (double)(i - AE_FAR_END_REACH + 1) - (double)p / k_phases;
            const double x = 3.14159265358979 * at, w = cos(x / k_taps);
            sinc[p * k_taps + i] = (float)((fabs(at) < 1e-9 ? 1.0 : sin(x) / x) * w * w);
        }
}

ae_status ae_far_end_create(ae_far_end **out, const ae_far_end_config *config)
{
    *out = NULL;
    if (config->channels < 1 || config->channels > AE_FAR_CHANNELS || config->block_frames < 8 ||
        config->fft_size < 2 * config->block_frames || config->partitions < 1 ||
        config->max_delay_frames < 0 || config->extra_blocks < 0)
        return AE_ERROR_ARGUMENT;
    ae_far_end shape = {.config = *config};
    shape.stride = (config->fft_size / 2 + 16) & ~15;
    const int blocks = config->partitions + config->extra_blocks;
    shape.frames =
        config->max_delay_frames + blocks * config->block_frames + config->fft_size + k_taps;
    shape.spectra.channels = config->channels;
    shape.spectra.partitions = config->partitions;
    shape.spectra.branch_partitions = config->branch_partitions;
    shape.spectra.stride = shape.stride;
    ae_far_end *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    const ae_status status = ae_fft_create(&self->fft, config->fft_size);
    if (status != AE_OK) {
        ae_far_end_destroy(self);
        return status;
    }
    fill_sinc(self->sinc);
    *out = self;
    return AE_OK;
}

void ae_far_end_destroy(ae_far_end *self)
{
    if (self == NULL) return;
    ae_fft_destroy(self->fft);
    ae_free(self);
}

void ae_far_end_reset(ae_far_end *self)
{
    for (int c = 0; c < self->config.channels; c++) {
        ae_zero(self->ring[c], self->frames + k_taps);
        ae_zero(self->segment[c], self->config.fft_size);
    }
    ae_zero(self->spectra.re, ae_far_spectra_rows(&self->spectra) * self->stride);
    ae_zero(self->spectra.im, ae_far_spectra_rows(&self->spectra) * self->stride);
    self->write = self->spectra.head = self->spectra.branch_head = 0;
    self->delay = self->skew = 0.0;
}

double ae_far_end_delay(const ae_far_end *self) { return self->delay; }

int ae_far_end_max_delay(const ae_far_end *self) { return self->config.max_delay_frames; }

double ae_far_end_skew(const ae_far_end *self) { return self->skew; }

const ae_far_spectra *ae_far_end_spectra(const ae_far_end *self) { return &self->spectra; }

const float *ae_far_end_segment(const ae_far_end *self, int channel)
{
    return self->segment[channel];
}

static void copy_whole(const ae_far_end *self, const float *ring, int age, int count, float *to)
{
    int start = self->write - age - count;
    if (start < 0) start += self->frames;
    const int first = count < self->frames - start ? count : self->frames - start;
    ae_copy(to, ring + start, first);
    ae_copy(to + first, ring, count - first);
}

/* One frame at an age of `whole` frames less the part of a frame that `row` stands for. */
static float between(const ae_far_end *self, const float *ring, int whole,
                     const float *restrict row)
{
    int start = self->write - 1 - whole - (AE_FAR_END_REACH - 1);
    if (start < 0) start += self->frames;
    const float *restrict line = ring + start;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < k_taps; i++) sum += row[i] * line[i];
    return sum;
}

void ae_far_end_read(const ae_far_end *self, int channel, double age, int count, float *to)
{
    const float *ring = self->ring[channel];
    const double spacing = 1.0 - self->skew, whole = floor(age);
    if (self->skew == 0.0 && age == whole) {
        copy_whole(self, ring, (int)age, count, to);
        return;
    }
    const double oldest = (double)(self->frames - k_taps);
    for (int i = 0; i < count; i++) {
        double at = age + spacing * (double)(count - 1 - i);
        if (at < AE_FAR_END_REACH) at = AE_FAR_END_REACH;
        if (at > oldest) at = oldest;
        const int up = (int)at + 1; /* the frame before the wanted instant */
        const int phase = (int)(((double)up - at) * k_phases + 0.5);
        to[i] = phase < k_phases ? between(self, ring, up, self->sinc + phase * k_taps)
                                 : between(self, ring, up - 1, self->sinc);
    }
}

void ae_far_end_transform(ae_far_end *self, int channel, double age, float *re, float *im)
{
    ae_far_end_read(self, channel, age, self->config.fft_size, self->scratch);
    ae_fft_forward(self->fft, self->scratch, re, im);
}

/* What a loudspeaker that is driven too hard adds: branch 0 even (its two directions differ),
 * branch 1 odd (it gives way at the ends). Scaled so that peaks at k_bend_level come out as large
 * as they are. */
static void bend(const float *restrict in, int branch, int count, float *restrict out)
{
    if (branch == 0)
        for (int i = 0; i < count; i++) out[i] = fabsf(in[i]);
    else
        for (int i = 0; i < count; i++) {
            const float held = ae_clamp(in[i], -1.0f, 1.0f); /* beyond full scale nobody plays */
            out[i] = held * fabsf(held) * (1.0f / k_bend_level);
        }
}

/* Spectra of one age of a channel: its row, and that of each of its branches. */
static void transform_row(ae_far_end *self, int channel, int partition, const float *time)
{
    ae_far_spectra *spectra = &self->spectra;
    const int row = ae_far_spectra_at(spectra, channel, partition);
    ae_fft_forward(self->fft, time, spectra->re + row, spectra->im + row);
    if (partition >= self->config.branch_partitions) return;
    for (int b = 0; b < AE_FAR_BRANCHES; b++) {
        const int at = ae_far_spectra_bent_at(spectra, AE_FAR_BRANCHES * channel + b, partition);
        bend(time, b, self->config.fft_size, self->bent);
        ae_fft_forward(self->fft, self->bent, spectra->re + at, spectra->im + at);
    }
}

static void store(ae_far_end *self, const float *const *blocks)
{
    const int count = self->config.block_frames;
    const int first = count < self->frames - self->write ? count : self->frames - self->write;
    for (int c = 0; c < self->config.channels; c++) {
        ae_copy(self->ring[c] + self->write, blocks[c], first);
        ae_copy(self->ring[c], blocks[c] + first, count - first);
        ae_copy(self->ring[c] + self->frames, self->ring[c], k_taps);
    }
    self->write = (self->write + count) % self->frames;
}

/* One block more of the delayed frames. */
static void extend_segments(ae_far_end *self)
{
    const int count = self->config.block_frames, kept = self->config.fft_size - count;
    for (int c = 0; c < self->config.channels; c++) {
        memmove(self->segment[c], self->segment[c] + count, (size_t)kept * sizeof(float));
        ae_far_end_read(self, c, self->delay, count, self->segment[c] + kept);
    }
}

void ae_far_end_push(ae_far_end *self, const float *const *blocks)
{
    store(self, blocks);
    if (self->skew != 0.0) {
        self->delay += self->skew * (double)self->config.block_frames;
        const double most = (double)self->config.max_delay_frames;
        if (self->delay < AE_FAR_END_REACH || self->delay > most) {
            self->skew = 0.0; /* out of reach: stand still on a whole frame */
            self->delay = rint(fmin(fmax(self->delay, AE_FAR_END_REACH), most));
        }
    }
    extend_segments(self);
    const int partitions = self->config.partitions,
              branch_partitions = self->config.branch_partitions;
    self->spectra.head = (self->spectra.head + partitions - 1) % partitions;
    if (branch_partitions > 0)
        self->spectra.branch_head =
            (self->spectra.branch_head + branch_partitions - 1) % branch_partitions;
    for (int c = 0; c < self->config.channels; c++) transform_row(self, c, 0, self->segment[c]);
}

void ae_far_end_set_skew(ae_far_end *self, double skew)
{
    self->skew = skew;
    if (skew != 0.0 && self->delay < AE_FAR_END_REACH) ae_far_end_set_delay(self, AE_FAR_END_REACH);
}

void ae_far_end_set_delay(ae_far_end *self, double delay_frames)
{
    const double least = self->skew != 0.0 ? AE_FAR_END_REACH : 0.0;
    const double wanted = self->skew != 0.0 ? delay_frames : rint(delay_frames);
    self->delay = fmin(fmax(wanted, least), (double)self->config.max_delay_frames);
    const int fft_size = self->config.fft_size;
    const double step = (1.0 - self->skew) * (double)self->config.block_frames;
    for (int c = 0; c < self->config.channels; c++) {
        for (int p = 0; p < self->config.partitions; p++) {
            ae_far_end_read(self, c, self->delay + (double)p * step, fft_size, self->scratch);
            transform_row(self, c, p, self->scratch);
        }
        ae_far_end_read(self, c, self->delay, fft_size, self->segment[c]);
    }
}
