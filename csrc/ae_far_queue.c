#include "ae_far_queue.h"

#include "ae_math.h"
#include "ae_ring.h"

struct ae_far_queue {
    int channels;
    int block_frames;
    int fade_frames; /* 5 ms: half a block */
    int playing;
    int interrupted; /* a gap was faded out, its end is to be faded in */
    ae_ring *ring;
    float *scratch; /* one interleaved block */
};

ae_status ae_far_queue_create(ae_far_queue **out, int channels, int block_frames,
                              int capacity_frames)
{
    *out = NULL;
    if (channels < 1 || channels > AE_MAX_CHANNELS || block_frames < 2 ||
        capacity_frames < 2 * block_frames) {
        return AE_ERROR_ARGUMENT;
    }
    ae_far_queue *self = ae_allocate(sizeof *self);
    if (self == NULL) return AE_ERROR_MEMORY;
    const size_t frame_bytes = (size_t)channels * sizeof(float);
    ae_status status = ae_ring_create(&self->ring, (int)frame_bytes, capacity_frames);
    self->scratch = ae_allocate((size_t)block_frames * frame_bytes);
    if (status == AE_OK && self->scratch == NULL) status = AE_ERROR_MEMORY;
    if (status != AE_OK) {
        ae_far_queue_destroy(self);
        return status;
    }
    self->channels = channels;
    self->block_frames = block_frames;
    self->fade_frames = block_frames / 2;
    *out = self;
    return AE_OK;
}

void ae_far_queue_destroy(ae_far_queue *self)
{
    if (self == NULL) return;
    ae_ring_destroy(self->ring);
    ae_free(self->scratch);
    ae_free(self);
}

int ae_far_queue_write(ae_far_queue *self, const float *interleaved, int frames)
{
    return ae_ring_write(self->ring, interleaved, frames);
}

int ae_far_queue_fill(const ae_far_queue *self) { return ae_ring_fill(self->ring); }

int ae_far_queue_space(const ae_far_queue *self)
{
    return ae_ring_capacity(self->ring) - ae_ring_fill(self->ring);
}

/* Ramp `frames` frames of the scratch block, from its frame `start` on: up or down. */
static void fade(ae_far_queue *self, int start, int frames, int rising)
{
    for (int n = 0; n < frames; n++) {
        const float share = ((float)n + 0.5f) / (float)frames;
        const float gain = rising ? share : 1.0f - share;
        for (int c = 0; c < self->channels; c++)
            self->scratch[(start + n) * self->channels + c] *= gain;
    }
}

int ae_far_queue_read(ae_far_queue *self, float *const *rows)
{
    const int block = self->block_frames, waiting = ae_ring_fill(self->ring);
    const int enough = waiting >= block + self->fade_frames;
    const int was_playing = self->playing;
    const int taken =
        enough        ? ae_ring_read(self->ring, self->scratch, block)
        : was_playing ? ae_ring_read(self->ring, self->scratch, waiting < block ? waiting : block)
                      : 0;
    self->playing = enough;
    if (enough && self->interrupted) {
        fade(self, 0, self->fade_frames, 1);
        self->interrupted = 0;
    }
    if (!enough && was_playing) {
        self->interrupted = 1;
        const int faded = taken < self->fade_frames ? taken : self->fade_frames;
        fade(self, taken - faded, faded, 0);
    }
    for (int c = 0; c < self->channels; c++) {
        for (int n = 0; n < taken; n++) rows[c][n] = self->scratch[n * self->channels + c];
        ae_zero(rows[c] + taken, block - taken);
    }
    return was_playing && !enough;
}

void ae_far_queue_drop(ae_far_queue *self, int frames)
{
    self->playing = 0;
    self->interrupted = 1; /* what follows is from the middle of a sound */
    while (frames > 0) {
        const int wanted = frames < self->block_frames ? frames : self->block_frames;
        const int taken = ae_ring_read(self->ring, self->scratch, wanted);
        if (taken == 0) return;
        frames -= taken;
    }
}
