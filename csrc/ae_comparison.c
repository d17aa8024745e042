#include "ae_comparison.h"

#include "ae_math.h"

struct ae_comparison {
    int channels;
    int block_frames;
    int kept_frames;             /* before the newest block */
    int end;                     /* where the next block goes */
    int delay;                   /* of the block before */
    float weight, weight_target; /* 0: processed, 1: untouched */
    float gain, gain_target;
    float *history[AE_MAX_CHANNELS]; /* room for the kept frames twice, and a block */
};

static int room(int kept, int block_frames) { return 2 * kept + block_frames; }

static ae_comparison *layout(ae_arena *arena, int channels, int history)
{
    ae_comparison *self = AE_TAKE(arena, 1, ae_comparison);
    for (int c = 0; c < channels; c++) {
        float *row = AE_TAKE(arena, history, float);
        if (self != NULL) self->history[c] = row;
    }
    return self;
}

ae_status ae_comparison_create(ae_comparison **out, int channels, int block_frames,
                               int max_delay_frames)
{
    *out = NULL;
    if (channels < 1 || channels > AE_MAX_CHANNELS || block_frames < 1 || max_delay_frames < 0)
        return AE_ERROR_ARGUMENT;
    const int history = room(max_delay_frames, block_frames);
    ae_arena measure = {0};
    layout(&measure, channels, history);
    ae_arena arena = {ae_allocate(measure.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_comparison *self = layout(&arena, channels, history);
    self->channels = channels;
    self->block_frames = block_frames;
    self->kept_frames = self->end = max_delay_frames;
    self->gain = self->gain_target = 1.0f;
    *out = self;
    return AE_OK;
}

void ae_comparison_destroy(ae_comparison *self) { ae_free(self); }

void ae_comparison_set(ae_comparison *self, int on, float gain)
{
    self->weight_target = on ? 1.0f : 0.0f;
    self->gain_target = gain;
    if (self->weight == 0.0f) self->gain = gain; /* not heard yet: no ramp is needed */
}

void ae_comparison_process(ae_comparison *self, const float *const *dry, int delay_frames,
                           float *const *wet)
{
    const int block = self->block_frames, kept = self->kept_frames;
    const int delay = delay_frames < kept ? delay_frames : kept, delay_before = self->delay;
    const int is_heard = self->weight != 0.0f || self->weight_target != 0.0f;
    const float weight_step = (self->weight_target - self->weight) / (float)block;
    const float gain_step = (self->gain_target - self->gain) / (float)block;
    const int is_full = self->end + block > room(kept, block);
    const int end = is_full ? kept : self->end;
    for (int c = 0; c < self->channels; c++) {
        float *restrict history = self->history[c];
        if (is_full) memmove(history, history + self->end - kept, (size_t)kept * sizeof(float));
        ae_copy(history + end, dry[c], block);
        if (!is_heard) continue;
        const float *from = history + end - delay, *before = history + end - delay_before;
        float *restrict out = wet[c];
        for (int n = 0; n < block; n++) {
            const float weight = self->weight + weight_step * (float)(n + 1);
            const float gain = self->gain + gain_step * (float)(n + 1);
            const float share = (float)(n + 1) / (float)block;
            const float untouched = before[n] + share * (from[n] - before[n]);
            out[n] += weight * (gain * untouched - out[n]);
        }
    }
    self->weight = self->weight_target;
    self->gain = self->gain_target;
    self->delay = delay;
    self->end = end + block;
}
