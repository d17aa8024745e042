#include "ae_fifo.h"

#include "ae_math.h"

#include <assert.h>
#include <string.h>

struct ae_fifo {
    int channels;
    int capacity;
    int fill;
    float *rows[AE_MAX_CHANNELS];
};

static ae_fifo *layout(ae_arena *arena, int channels, int capacity)
{
    ae_fifo *self = AE_TAKE(arena, 1, ae_fifo);
    for (int c = 0; c < channels; c++) {
        float *row = AE_TAKE(arena, capacity, float);
        if (self != NULL) self->rows[c] = row;
    }
    return self;
}

ae_status ae_fifo_create(ae_fifo **out, int channels, int capacity_frames)
{
    *out = NULL;
    if (channels < 1 || channels > AE_MAX_CHANNELS || capacity_frames < 1) return AE_ERROR_ARGUMENT;
    ae_arena measure = {0};
    layout(&measure, channels, capacity_frames);
    ae_arena arena = {ae_allocate(measure.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_fifo *self = layout(&arena, channels, capacity_frames);
    self->channels = channels;
    self->capacity = capacity_frames;
    *out = self;
    return AE_OK;
}

void ae_fifo_destroy(ae_fifo *self) { ae_free(self); }
void ae_fifo_clear(ae_fifo *self) { self->fill = 0; }
int ae_fifo_fill(const ae_fifo *self) { return self->fill; }

void ae_fifo_write(ae_fifo *self, const float *interleaved, int device_channels, int frames)
{
    assert(self->fill + frames <= self->capacity);
    for (int c = 0; c < self->channels; c++) {
        float *to = self->rows[c] + self->fill;
        if (interleaved == NULL) {
            ae_zero(to, frames);
            continue;
        }
        const float *from = interleaved + c % device_channels;
        for (int n = 0; n < frames; n++) to[n] = from[n * device_channels];
    }
    self->fill += frames;
}

void ae_fifo_write_rows(ae_fifo *self, const float *const *rows, int frames)
{
    assert(self->fill + frames <= self->capacity);
    for (int c = 0; c < self->channels; c++)
        memcpy(self->rows[c] + self->fill, rows[c], (size_t)frames * sizeof(float));
    self->fill += frames;
}

static void drop(ae_fifo *self, int frames)
{
    self->fill -= frames;
    for (int c = 0; c < self->channels; c++)
        memmove(self->rows[c], self->rows[c] + frames, (size_t)self->fill * sizeof(float));
}

void ae_fifo_read(ae_fifo *self, float *interleaved, int device_channels, int frames)
{
    assert(frames <= self->fill);
    for (int d = 0; d < device_channels; d++) {
        const float *from = self->rows[d % self->channels];
        for (int n = 0; n < frames; n++) interleaved[n * device_channels + d] = from[n];
    }
    drop(self, frames);
}

void ae_fifo_read_rows(ae_fifo *self, float *const *rows, int frames)
{
    assert(frames <= self->fill);
    for (int c = 0; c < self->channels; c++)
        memcpy(rows[c], self->rows[c], (size_t)frames * sizeof(float));
    drop(self, frames);
}
