#include "ae_lip_mouth.h"

#include "ae_math.h"

#include <assert.h>
#include <stdbool.h>

static const double k_step_s = 0.01;
static const double k_bridge_s = 0.2;   /* between two seen faces: a syllable */
static const double k_hold_s = 0.1;     /* before the first and after the last */
static const double k_reach_s = 0.25;   /* samples this long before the grid still count */
static const double k_disorder_s = 1.0; /* a stamp further back is another stream */
static const double k_rounding_s = 1e-6;
static const float k_largest_value = 1e3f; /* of the distance between the eyes */

typedef struct {
    double time_s;
    float value[AE_LIP_MOUTH_ROW];
    bool seen, moves; /* a face in this picture; a difference to the one before */
    bool cut;         /* another shot than the sample before */
} sample;

/* A sample as a signal of the grid has it: at its own time or midway. */
typedef struct {
    double time_s; /* after the grid's first row */
    int64_t index;
    int shot;
} knot;

struct ae_lip_mouth {
    int signals, motion, max_frames;
    int64_t samples;
    double first_s;
    bool cut_comes;
    sample *ring;
    knot *knots;
    float *heap; /* the largest 1 % of the differences */
    int *shots;  /* of each row of the grid */
    int heap_room;
};

static ae_lip_mouth *layout(ae_lip_mouth *plan, ae_arena *arena)
{
    ae_lip_mouth *self = AE_TAKE(arena, 1, ae_lip_mouth);
    plan->ring = AE_TAKE(arena, AE_LIP_MOUTH_SAMPLES, sample);
    plan->knots = AE_TAKE(arena, AE_LIP_MOUTH_SAMPLES, knot);
    plan->heap = AE_TAKE(arena, plan->heap_room, float);
    plan->shots = AE_TAKE(arena, plan->max_frames, int);
    return self;
}

ae_status ae_lip_mouth_create(ae_lip_mouth **out, const ae_lip_mouth_config *config)
{
    *out = NULL;
    if (config->signals < 1 || config->signals > AE_LIP_MOUTH_ROW || config->motion < -1 ||
        config->motion >= config->signals || config->max_frames < 1)
        return AE_ERROR_ARGUMENT;
    ae_lip_mouth plan = {.signals = config->signals,
                         .motion = config->motion,
                         .max_frames = config->max_frames,
                         .heap_room = AE_LIP_MOUTH_SAMPLES / 100 + 2};
    ae_arena arena = {0};
    layout(&plan, &arena);
    arena = (ae_arena){ae_allocate(arena.used), 0};
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    ae_lip_mouth *self = layout(&plan, &arena);
    *self = plan;
    ae_lip_mouth_reset(self);
    *out = self;
    return AE_OK;
}

void ae_lip_mouth_destroy(ae_lip_mouth *self) { ae_free(self); }

void ae_lip_mouth_reset(ae_lip_mouth *self)
{
    self->samples = 0;
    self->cut_comes = false;
}

static sample *at(const ae_lip_mouth *self, int64_t index)
{
    return self->ring + index % AE_LIP_MOUTH_SAMPLES;
}

static int64_t oldest(const ae_lip_mouth *self)
{
    return self->samples > AE_LIP_MOUTH_SAMPLES ? self->samples - AE_LIP_MOUTH_SAMPLES : 0;
}

int ae_lip_mouth_push(ae_lip_mouth *self, double time_s, const float *values)
{
    assert(isfinite(time_s));
    const double forward_s = self->samples > 0 ? time_s - ae_lip_mouth_newest_s(self) : HUGE_VAL;
    const bool anew = forward_s < -k_disorder_s;
    if (forward_s <= 0.0 && !anew) return 0;
    if (anew) ae_lip_mouth_reset(self);
    if (self->samples == 0) self->first_s = time_s;
    sample *next = at(self, self->samples);
    *next = (sample){.time_s = time_s, .seen = true, .moves = self->motion >= 0};
    for (int j = 0; j < self->signals; j++) {
        const bool fine = fabsf(values[j]) <= k_largest_value;
        next->value[j] = fine ? values[j] : 0.0f;
        if (!fine && j != self->motion) next->seen = false;
        if (!fine && j == self->motion) next->moves = false;
    }
    next->moves = next->moves && next->seen && !self->cut_comes;
    next->cut = self->cut_comes;
    self->cut_comes = false;
    self->samples++;
    return anew;
}

void ae_lip_mouth_cut(ae_lip_mouth *self) { self->cut_comes = true; }
int64_t ae_lip_mouth_samples(const ae_lip_mouth *self) { return self->samples; }
double ae_lip_mouth_first_s(const ae_lip_mouth *self) { return self->first_s; }
double ae_lip_mouth_newest_s(const ae_lip_mouth *self)
{
    return at(self, self->samples - 1)->time_s;
}

/* The first kept sample at or after a time; samples are in order, so by halving. */
static int64_t first_from(const ae_lip_mouth *self, double time_s)
{
    int64_t low = oldest(self), high = self->samples;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (at(self, middle)->time_s < time_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The usable samples first .. end - 1 as knots of the grid, and their number. */
static int collect(ae_lip_mouth *self, int64_t first, int64_t end, double first_s, bool motion)
{
    int count = 0, shot = 0;
    for (int64_t i = first; i < end; i++) {
        const sample *now = at(self, i);
        shot += now->cut;
        if (motion ? !now->moves : !now->seen) continue;
        double time_s = now->time_s;
        if (motion && i > oldest(self)) time_s = 0.5 * (time_s + at(self, i - 1)->time_s);
        self->knots[count++] = (knot){time_s - first_s, i, shot};
    }
    return count;
}

static void sift_down(float *heap, int count, int i)
{
    for (int child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && heap[child + 1] < heap[child]) child++;
        if (heap[i] <= heap[child]) return;
        const float swapped = heap[i];
        heap[i] = heap[child];
        heap[child] = swapped;
    }
}

/* The 99th percentile of the motion of `count` knots, interpolated between order statistics: the
 * lowest two of the largest 1 %, which a heap with the lowest on top collects in one pass. */
static float largest_motion(ae_lip_mouth *self, int count)
{
    const double place = 0.99 * (count - 1);
    const int below = (int)place, room = count - below; /* ranks below .. count - 1 */
    float *heap = self->heap;
    assert(room <= self->heap_room);
    for (int i = 0; i < count; i++) {
        const float value = at(self, self->knots[i].index)->value[self->motion];
        if (i < room) {
            heap[i] = value;
            if (i == room - 1)
                for (int j = room / 2 - 1; j >= 0; j--) sift_down(heap, room, j);
        } else if (value > heap[0]) {
            heap[0] = value;
            sift_down(heap, room, 0);
        }
    }
    const float low = heap[0];
    float high = low;
    if (room > 1) high = room > 2 && heap[2] < heap[1] ? heap[2] : heap[1];
    return low + (float)(place - below) * (high - low);
}

/* Where a row stands among the knots: how far from `a` to `b`, and whether it counts. */
typedef struct {
    int64_t a, b;
    float toward_b;
    bool counts;
    int shot;
} place;

static place hold(const knot *from, double time_s)
{
    return (place){from->index, from->index, 0.0f,
                   fabs(time_s - from->time_s) <= k_hold_s + k_rounding_s, from->shot};
}

/* `next` is the first knot after time_s. */
static place find(const knot *knots, int count, int next, double time_s)
{
    if (next == 0) return hold(&knots[0], time_s);
    const knot *a = &knots[next - 1], *b = &knots[next];
    if (next == count) return hold(a, time_s);
    const double span = b->time_s - a->time_s, part = (time_s - a->time_s) / span;
    if (time_s - a->time_s <= k_rounding_s) return hold(a, time_s);
    if (a->shot != b->shot) return hold(part < 0.5 ? a : b, time_s);
    return (place){a->index, b->index, (float)part, span <= k_bridge_s + k_rounding_s, a->shot};
}

/* Columns from .. to - 1 (all but `without`) of the rows; weights too unless NULL. */
static void interpolate(ae_lip_mouth *self, int count, int frames, int from, int to, int without,
                        float limit, float *rows, float *weights)
{
    int next = 0;
    for (int i = 0; i < frames; i++) {
        const double time_s = i * k_step_s;
        while (next < count && self->knots[next].time_s <= time_s) next++;
        const place here = find(self->knots, count, next, time_s);
        const float *a = at(self, here.a)->value, *b = at(self, here.b)->value;
        for (int j = from; j < to; j++) {
            if (j == without) continue;
            const float low = ae_min(a[j], limit), high = ae_min(b[j], limit);
            rows[i * AE_LIP_MOUTH_ROW + j] = low + here.toward_b * (high - low);
        }
        self->shots[i] = here.shot;
        if (weights != NULL) weights[i] = here.counts ? 1.0f : 0.0f;
    }
}

/* Take columns from .. to - 1 of each shot about their mean over the rows that count. */
static void centre_shots(const ae_lip_mouth *self, int frames, int from, int to,
                         const float *weights, float *rows)
{
    for (int first = 0, end; first < frames; first = end) {
        end = first + 1;
        while (end < frames && self->shots[end] == self->shots[first]) end++;
        for (int j = from; j < to; j++) {
            double sum = 0.0, count = 0.0;
            for (int i = first; i < end; i++) {
                sum += (double)(weights[i] * rows[i * AE_LIP_MOUTH_ROW + j]);
                count += (double)weights[i];
            }
            const float mean = count > 0.0 ? (float)(sum / count) : 0.0f;
            for (int i = first; i < end; i++) rows[i * AE_LIP_MOUTH_ROW + j] -= mean;
        }
    }
}

void ae_lip_mouth_grid(ae_lip_mouth *self, double first_s, int frames, float *rows, float *weights)
{
    assert(frames >= 1 && frames <= self->max_frames);
    ae_zero(rows, frames * AE_LIP_MOUTH_ROW);
    ae_zero(weights, frames);
    const double last_s = first_s + (frames - 1) * k_step_s;
    const int64_t first = first_from(self, first_s - k_reach_s);
    int64_t end = first_from(self, last_s - k_rounding_s);
    if (end < self->samples) end++;
    const int seen = collect(self, first, end, first_s, false);
    if (seen == 0) return;
    interpolate(self, seen, frames, 0, self->signals, self->motion, HUGE_VALF, rows, weights);
    const bool cut = self->shots[frames - 1] != self->shots[0];
    if (cut) centre_shots(self, frames, 0, self->signals, weights, rows);
    if (self->motion < 0) return;
    const int moving = collect(self, first, end, first_s, true);
    if (moving == 0) return;
    const float limit = largest_motion(self, moving);
    interpolate(self, moving, frames, self->motion, self->motion + 1, -1, limit, rows, NULL);
    if (cut) centre_shots(self, frames, self->motion, self->motion + 1, weights, rows);
}
