#include "ae_lip_model.h"

#include <stdbool.h>

#include "ae_lipsync_weights.h" /* after ae_lip_model.h, whose types it uses */
#include "ae_math.h"

/* Set by hand: three taps 60 ms apart on either side, whose difference is a speed. Pairs: the speed
 * of all bands with that of the gap, bands 4 .. 7 (552 .. 963 Hz: the first formant of open vowels)
 * over bands 0 .. 2 (157 .. 336 Hz) with the gap, all bands with motion. */
enum { k_hand_taps = 3, k_hand_step = 6, k_hand_pairs = 3 };

#define ALL_BANDS(x) {x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}
static const float k_hand_audio[k_hand_pairs][k_hand_taps][AE_LIP_FEATURES] = {
    {ALL_BANDS(-1.0f), {0.0f}, ALL_BANDS(1.0f)},
    {{0.0f}, {-4.0f, -4.0f, -4.0f, 0.0f, 3.0f, 3.0f, 3.0f, 3.0f}, {0.0f}},
    {{0.0f}, ALL_BANDS(1.0f), {0.0f}}};
static const float k_hand_mouth_full[k_hand_pairs][k_hand_taps][6] = {
    {{-1.0f}, {0.0f}, {1.0f}}, {{0.0f}, {1.0f}, {0.0f}}, {{0.0f}, {[5] = 1.0f}, {0.0f}}};
static const float k_hand_mouth_gap[k_hand_pairs - 1][k_hand_taps][1] = {{{-1.0f}, {0.0f}, {1.0f}},
                                                                         {{0.0f}, {1.0f}, {0.0f}}};
static const float k_hand_weight[k_hand_pairs] = {1.0f, 1.0f, 0.5f};
/* A contrast of 0.35 at a level of 0.3 is even odds. */
static const float k_hand_confidence[AE_LIP_CUES + 1] = {-7.5f, 10.0f, 13.3f};

static const ae_lip_model k_hand_full = {.mouth_signals = 6,
                                         .components = k_hand_pairs,
                                         .motion = 5,
                                         .audio_taps = k_hand_taps,
                                         .mouth_taps = k_hand_taps,
                                         .audio_step = k_hand_step,
                                         .mouth_step = k_hand_step,
                                         .audio = k_hand_audio[0][0],
                                         .mouth = k_hand_mouth_full[0][0],
                                         .weight = k_hand_weight,
                                         .confidence = k_hand_confidence};
static const ae_lip_model k_hand_gap = {.mouth_signals = 1,
                                        .components = k_hand_pairs - 1,
                                        .motion = -1,
                                        .audio_taps = k_hand_taps,
                                        .mouth_taps = k_hand_taps,
                                        .audio_step = k_hand_step,
                                        .mouth_step = k_hand_step,
                                        .audio = k_hand_audio[0][0],
                                        .mouth = k_hand_mouth_gap[0][0],
                                        .weight = k_hand_weight,
                                        .confidence = k_hand_confidence};

const ae_lip_model *ae_lip_model_trained(int mouth_signals)
{
    return mouth_signals == 6 ? &k_trained_full : mouth_signals == 1 ? &k_trained_gap : NULL;
}

const ae_lip_model *ae_lip_model_untrained(int mouth_signals)
{
    return mouth_signals == 6 ? &k_hand_full : mouth_signals == 1 ? &k_hand_gap : NULL;
}

static bool are_taps(int taps, int step)
{
    return taps >= 1 && taps <= AE_LIP_MAX_TAPS && taps % 2 == 1 && step >= 2 && step % 2 == 0 &&
           step <= AE_LIP_MAX_REACH && taps / 2 * step <= AE_LIP_MAX_REACH;
}

static bool are_bounded(const float *values, int count, float low, float high)
{
    bool bounded = values != NULL;
    for (int i = 0; bounded && i < count; i++) bounded = ae_in_range(values[i], low, high);
    return bounded;
}

static int audio_count(const ae_lip_model *self)
{
    return self->components * self->audio_taps * AE_LIP_FEATURES;
}

static int mouth_count(const ae_lip_model *self)
{
    return self->components * self->mouth_taps * self->mouth_signals;
}

int ae_lip_model_is_valid(const ae_lip_model *self)
{
    static const float largest = 1e4f; /* of a coefficient: signals of unit variance stay finite */
    if (self->mouth_signals < 1 || self->mouth_signals > AE_LIP_MAX_SIGNALS ||
        self->components < 1 || self->components > AE_LIP_MAX_COMPONENTS || self->motion < -1 ||
        self->motion >= self->mouth_signals || !are_taps(self->audio_taps, self->audio_step) ||
        !are_taps(self->mouth_taps, self->mouth_step))
        return 0;
    if (!are_bounded(self->audio, audio_count(self), -largest, largest) ||
        !are_bounded(self->mouth, mouth_count(self), -largest, largest) ||
        !are_bounded(self->weight, self->components, 0.0f, 1.0f) ||
        !are_bounded(self->confidence, AE_LIP_CUES + 1, -largest, largest) ||
        !ae_in_range(self->bias_ms, -1000.0f, 1000.0f))
        return 0;
    float sum = 0.0f;
    for (int k = 0; k < self->components; k++) sum += self->weight[k];
    return sum > 0.0f;
}

static const float *copied(ae_arena *arena, const float *values, int count)
{
    float *copy = AE_TAKE(arena, count, float);
    if (copy != NULL) ae_copy(copy, values, count);
    return copy;
}

ae_lip_model ae_lip_model_copy(const ae_lip_model *self, ae_arena *arena)
{
    ae_lip_model copy = *self;
    copy.audio = copied(arena, self->audio, audio_count(self));
    copy.mouth = copied(arena, self->mouth, mouth_count(self));
    copy.weight = copied(arena, self->weight, self->components);
    copy.confidence = copied(arena, self->confidence, AE_LIP_CUES + 1);
    return copy;
}
