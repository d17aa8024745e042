#include "ae_far_end.h"

#include "ae_fft.h"
#include "ae_math.h"

struct ae_far_end {
    ae_far_end_config config;
    ae_fft *fft;
    int stride;
    int frames; /* of the sample ring */
    int write;
    int delay;
    float *ring;
    float *segment; /* fft_size: time signal of partition 0 */
    float *scratch; /* fft_size */
    ae_far_spectra spectra;
};

static size_t lay_out(ae_far_end *self, void *memory)
{
    ae_arena arena = {memory, 0};
    AE_TAKE(&arena, 1, ae_far_end);
    self->ring = AE_TAKE(&arena, self->frames, float);
    self->segment = AE_TAKE(&arena, self->config.fft_size, float);
    self->scratch = AE_TAKE(&arena, self->config.fft_size, float);
    self->spectra.re = AE_TAKE(&arena, self->config.partitions * self->stride, float);
    self->spectra.im = AE_TAKE(&arena, self->config.partitions * self->stride, float);
    return arena.used;
}

ae_status ae_far_end_create(ae_far_end **out, const ae_far_end_config *config)
{
    *out = NULL;
    if (config->block_frames < 8 || config->fft_size < 2 * config->block_frames ||
        config->partitions < 1 || config->max_delay_frames < 0 || config->extra_blocks < 0)
        return AE_ERROR_ARGUMENT;
    ae_far_end shape = {.config = *config};
    shape.stride = (config->fft_size / 2 + 16) & ~15;
    const int blocks = config->partitions + config->extra_blocks;
    shape.frames = config->max_delay_frames + blocks * config->block_frames + config->fft_size;
    ae_far_end *self = ae_allocate(lay_out(&shape, NULL));
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    self->spectra.partitions = config->partitions;
    self->spectra.stride = self->stride;
    const ae_status status = ae_fft_create(&self->fft, config->fft_size);
    if (status != AE_OK) {
        ae_far_end_destroy(self);
        return status;
    }
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
    ae_zero(self->ring, self->frames);
    ae_zero(self->segment, self->config.fft_size);
    ae_zero(self->spectra.re, self->config.partitions * self->stride);
    ae_zero(self->spectra.im, self->config.partitions * self->stride);
    self->write = self->delay = self->spectra.head = 0;
}

int ae_far_end_delay(const ae_far_end *self) { return self->delay; }

int ae_far_end_max_delay(const ae_far_end *self) { return self->config.max_delay_frames; }

const ae_far_spectra *ae_far_end_spectra(const ae_far_end *self) { return &self->spectra; }

const float *ae_far_end_segment(const ae_far_end *self) { return self->segment; }

void ae_far_end_read(const ae_far_end *self, int age, int count, float *to)
{
    int start = self->write - age - count;
    if (start < 0) start += self->frames;
    const int first = count < self->frames - start ? count : self->frames - start;
    ae_copy(to, self->ring + start, first);
    ae_copy(to + first, self->ring, count - first);
}

void ae_far_end_transform(ae_far_end *self, int age, float *re, float *im)
{
    ae_far_end_read(self, age, self->config.fft_size, self->scratch);
    ae_fft_forward(self->fft, self->scratch, re, im);
}

void ae_far_end_push(ae_far_end *self, const float *block)
{
    const int count = self->config.block_frames, fft_size = self->config.fft_size;
    const int first = count < self->frames - self->write ? count : self->frames - self->write;
    ae_copy(self->ring + self->write, block, first);
    ae_copy(self->ring, block + first, count - first);
    self->write = (self->write + count) % self->frames;
    ae_far_end_read(self, self->delay, fft_size, self->segment);
    self->spectra.head = ae_far_spectra_slot(&self->spectra, self->config.partitions - 1);
    const int slot = self->spectra.head * self->stride;
    ae_fft_forward(self->fft, self->segment, self->spectra.re + slot, self->spectra.im + slot);
}

void ae_far_end_set_delay(ae_far_end *self, int delay_frames)
{
    self->delay = ae_clamp_int(delay_frames, 0, self->config.max_delay_frames);
    for (int p = 0; p < self->config.partitions; p++) {
        const int slot = ae_far_spectra_slot(&self->spectra, p) * self->stride;
        ae_far_end_transform(self, self->delay + p * self->config.block_frames,
                             self->spectra.re + slot, self->spectra.im + slot);
    }
    ae_far_end_read(self, self->delay, self->config.fft_size, self->segment);
}
