#include "ae_bypass.h"

#include "ae_math.h"

void ae_bypass_lay_out(ae_bypass *self, ae_arena *arena, int channels, int block_frames,
                       int latency_frames)
{
    const int measuring = arena->base == NULL;
    for (int c = 0; c < channels; c++) {
        float *line = AE_TAKE(arena, latency_frames + block_frames, float);
        if (!measuring) self->lines[c] = line;
    }
    if (measuring) return;
    self->channels = channels;
    self->block_frames = block_frames;
    self->latency_frames = latency_frames;
}

void ae_bypass_reset(ae_bypass *self)
{
    for (int c = 0; c < self->channels; c++) ae_zero(self->lines[c], self->latency_frames);
}

void ae_bypass_copy(ae_bypass *self, const ae_bypass *from)
{
    if (self->channels != from->channels || self->latency_frames != from->latency_frames) return;
    for (int c = 0; c < self->channels; c++) {
        ae_copy(self->lines[c], from->lines[c], self->latency_frames);
    }
}

void ae_bypass_take(ae_bypass *self, const float *const *in)
{
    for (int c = 0; c < self->channels; c++) {
        ae_copy(self->lines[c] + self->latency_frames, in[c], self->block_frames);
    }
}

void ae_bypass_mix(const ae_bypass *self, float *const *out, float from, float to)
{
    if (from == 1.0f && to == 1.0f) return;
    const float step = (to - from) / (float)self->block_frames;
    for (int c = 0; c < self->channels; c++) {
        const float *restrict dry = self->lines[c];
        float *restrict mixed = out[c];
        if (from == 0.0f && to == 0.0f) {
            ae_copy(mixed, dry, self->block_frames);
            continue;
        }
#pragma omp simd
        for (int n = 0; n < self->block_frames; n++) {
            const float share = from + step * (float)(n + 1);
            mixed[n] = dry[n] + share * (mixed[n] - dry[n]);
        }
    }
}

void ae_bypass_advance(ae_bypass *self)
{
    const size_t bytes = (size_t)self->latency_frames * sizeof(float);
    for (int c = 0; c < self->channels; c++) {
        memmove(self->lines[c], self->lines[c] + self->block_frames, bytes);
    }
}
