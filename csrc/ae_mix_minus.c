#include "ae_mix_minus.h"

#include <math.h>

#include "ae_math.h"

static const float k_alike_db = 0.05f;   /* gains so close are the same */
static const int k_longest_blocks = 100; /* 1 s: the limiters' slow release */

ae_status ae_mix_minus_init(ae_mix_minus *self, const ae_limiter_config *config)
{
    *self = (ae_mix_minus){0};
    const ae_status status = ae_limiter_create(&self->limiter, config);
    if (status != AE_OK) return status;
    const int block = ae_block_frames(config->sample_rate_hz);
    self->latency_blocks = (ae_limiter_latency_frames(self->limiter) + block - 1) / block;
    return AE_OK;
}

void ae_mix_minus_free(ae_mix_minus *self) { ae_limiter_destroy(self->limiter); }

void ae_mix_minus_reset(ae_mix_minus *self)
{
    self->own = self->fades_over = self->closed_blocks = 0;
}

void ae_mix_minus_begin(ae_mix_minus *self, int heard, const ae_limiter *programme)
{
    if (self->fades_over) self->own = self->fades_over = 0;
    if (!heard) {
        self->closed_blocks++;
        return;
    }
    self->closed_blocks = 0;
    if (self->own) return;
    ae_limiter_copy_state(self->limiter, programme);
    self->own = 1;
}

static int alike(const ae_limiter *a, const ae_limiter *b)
{
    ae_limiter_report first, second;
    ae_limiter_read(a, &first);
    ae_limiter_read(b, &second);
    return fabsf(first.reduction_db - second.reduction_db) < k_alike_db;
}

static void fade_over(float *restrict row, const float *restrict programme, int frames)
{
    const float step = 1.0f / (float)frames;
#pragma omp simd
    for (int n = 0; n < frames; n++) row[n] += (programme[n] - row[n]) * step * (float)(n + 1);
}

void ae_mix_minus_end(ae_mix_minus *self, int heard, const ae_limiter *limiter,
                      const float *const *programme, int channels, int frames, float *const *rows)
{
    ae_limiter_process(self->limiter, (const float *const *)rows, rows);
    if (heard || self->closed_blocks <= self->latency_blocks) return;
    if (self->closed_blocks < k_longest_blocks && !alike(self->limiter, limiter)) return;
    for (int c = 0; c < channels; c++) fade_over(rows[c], programme[c], frames);
    self->fades_over = 1;
}
