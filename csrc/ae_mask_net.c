#include "ae_mask_net.h"

#include "ae_math.h"

static const float k_nothing = -2.0f; /* the feature of no power at all */
static const float k_least_size = 1e-12f;
/* Beyond what is ever heard; a NaN or infinity that got into the state would stay there. */
static const float k_most_feature = 8.0f, k_most_bin = 1e9f;

enum {
    k_points = AE_MASK_NET_POINTS,
    k_singles = AE_MASK_NET_SINGLES,
    k_taps = AE_MASK_NET_TAPS,
    k_aside = AE_MASK_NET_ASIDE,
    k_inputs = AE_NET_INPUTS,
    k_bands = AE_NET_BANDS,
    k_halves = k_points / 2, /* points behind the first step */
    k_tap_stride = 16        /* ae_net_stride(4 k_taps) */
};

_Static_assert((int)k_points == AE_NET_POINTS && (int)k_singles == AE_NET_SINGLES &&
                   (int)k_taps == AE_NET_TAPS && (int)k_aside == AE_NET_ASIDE,
               "the net's sides differ from the model's");

struct ae_mask_net {
    const ae_net_weights *weights;
    int channels, full, layers;
    float turn_re[k_singles], turn_im[k_singles];
    float heard[k_points], late_re[k_singles], late_im[k_singles]; /* of the hop before */
    float *sub, *across; /* states: [layers][bands][channels], [layers][full] */
    /* Scratch. Planes that a step over frequency reads have a point of zeros before and behind. */
    float *inputs;                  /* [1 + points + 1][k_inputs] */
    float *down1;                   /* [1 + halves + 1][channels] */
    float *down2, *z;               /* [bands][channels] */
    float *from_input, *from_state; /* [bands][3 channels] or [3 full] */
    float *joined;                  /* [halves][2 channels] */
    float *up;                      /* [halves][4 channels] */
    float *gathered, *scattered;    /* [full], [bands][channels] */
    float logits[k_points];
};

static ae_mask_net *lay_out(ae_arena *arena, const ae_mask_net *shape)
{
    const int c = shape->channels, full = shape->full;
    const int gates = ae_net_room(3 * (full > k_bands * c ? full : k_bands * c));
    ae_mask_net *self = AE_TAKE(arena, 1, ae_mask_net);
    ae_mask_net filled = *shape;
    filled.sub = AE_TAKE(arena, shape->layers * k_bands * c, float);
    filled.across = AE_TAKE(arena, shape->layers * full, float);
    filled.inputs = AE_TAKE(arena, (k_points + 2) * k_inputs, float);
    filled.down1 = AE_TAKE(arena, (k_halves + 2) * c, float);
    filled.down2 = AE_TAKE(arena, k_bands * c, float);
    filled.z = AE_TAKE(arena, k_bands * c, float);
    filled.from_input = AE_TAKE(arena, gates, float);
    filled.from_state = AE_TAKE(arena, gates, float);
    filled.joined = AE_TAKE(arena, k_halves * 2 * c, float);
    filled.up = AE_TAKE(arena, k_halves * 4 * c + k_singles * k_tap_stride, float);
    filled.gathered = AE_TAKE(arena, ae_net_room(full), float);
    filled.scattered = AE_TAKE(arena, ae_net_room(k_bands * c), float);
    if (self == NULL) return NULL;
    *self = filled;
    return self;
}

void ae_mask_net_turns(float turns_per_bin, int hops, float *re, float *im)
{
    for (int k = 0; k < k_singles; k++) {
        const float turns = turns_per_bin * (float)(hops * k);
        const float angle = 2.0f * k_ae_pi * (turns - floorf(turns));
        re[k] = cosf(angle);
        im[k] = sinf(angle);
    }
}

ae_status ae_mask_net_create(ae_mask_net **out, const ae_net_model *model, float turns_per_bin)
{
    *out = NULL;
    const ae_net_shape *held = ae_net_model_shape(model);
    ae_mask_net shape = {.weights = ae_net_model_weights(model),
                         .channels = held->channels,
                         .full = held->full,
                         .layers = held->layers};
    ae_mask_net_turns(turns_per_bin, 1, shape.turn_re, shape.turn_im);
    ae_arena arena = {0};
    lay_out(&arena, &shape);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, &shape);
    ae_mask_net_reset(*out);
    return AE_OK;
}

void ae_mask_net_destroy(ae_mask_net *self) { ae_free(self); }

void ae_mask_net_reset(ae_mask_net *self)
{
    ae_fill(self->heard, k_nothing, k_points);
    ae_zero(self->late_re, k_singles);
    ae_zero(self->late_im, k_singles);
    ae_zero(self->sub, self->layers * k_bands * self->channels);
    ae_zero(self->across, self->layers * self->full);
}

static void rectify(float *restrict values, int count)
{
#pragma omp simd
    for (int i = 0; i < count; i++) values[i] = ae_max(values[i], 0.0f);
}

static void add(float *restrict to, const float *restrict more, int count)
{
#pragma omp simd
    for (int i = 0; i < count; i++) to[i] += more[i];
}

/* A NaN gives the lower bound. */
static inline float within(float value, float least, float most)
{
    return ae_min(ae_max(value, least), most);
}

/* Per point: features now and a hop before, cosine and sine of the phase's advance, the rest. */
static void gather_inputs(ae_mask_net *self, const ae_mask_net_hop *hop)
{
    float *restrict to = self->inputs + k_inputs;
    for (int p = 0; p < k_points; p++) {
        float *restrict at = to + p * k_inputs;
        at[0] = within(hop->heard[p], k_nothing, k_most_feature);
        at[1] = self->heard[p];
        at[2] = at[3] = 0.0f;
        self->heard[p] = at[0];
        for (int a = 0; a < k_aside; a++) {
            const float *aside = hop->aside[a];
            at[4 + a] = aside != NULL ? within(aside[p], k_nothing, k_most_feature) : k_nothing;
        }
    }
    for (int k = 0; k < k_singles; k++) {
        const float now_re = within(hop->re[k], -k_most_bin, k_most_bin);
        const float now_im = within(hop->im[k], -k_most_bin, k_most_bin);
        const float late_re =
            self->late_re[k] * self->turn_re[k] - self->late_im[k] * self->turn_im[k];
        const float late_im =
            self->late_re[k] * self->turn_im[k] + self->late_im[k] * self->turn_re[k];
        const float re = now_re * late_re + now_im * late_im;
        const float im = now_im * late_re - now_re * late_im;
        const float size = sqrtf(re * re + im * im) + k_least_size;
        to[k * k_inputs + 2] = re / size;
        to[k * k_inputs + 3] = im / size;
        self->late_re[k] = now_re;
        self->late_im[k] = now_im;
    }
}

/* Two steps over frequency: 100 points, 50, 25 sub-bands. */
static void step_down(ae_mask_net *self)
{
    const int c = self->channels;
    float *first = self->down1 + c;
    ae_net_dense_apply(&self->weights->down1, self->inputs, 2 * k_inputs, k_halves, first);
    rectify(first, k_halves * c);
    ae_net_dense_apply(&self->weights->down2, self->down1, 2 * c, k_bands, self->down2);
    add(self->down2, self->weights->place, k_bands * c);
    rectify(self->down2, k_bands * c);
    ae_copy(self->z, self->down2, k_bands * c);
}

static void run_layer(ae_mask_net *self, int n)
{
    const ae_net_layer *layer = &self->weights->layers[n];
    const int c = self->channels, full = self->full, all = k_bands * c;
    float *sub = self->sub + n * all, *across = self->across + n * full;
    ae_net_dense_apply(&layer->sub_input, self->z, c, k_bands, self->from_input);
    ae_net_dense_apply(&layer->sub_state, sub, c, k_bands, self->from_state);
    ae_net_recur(self->from_input, self->from_state, k_bands, c, sub);
    add(self->z, sub, all);
    ae_net_wide_apply(&layer->gather, self->z, self->gathered);
    rectify(self->gathered, full);
    ae_net_wide_apply(&layer->full_input, self->gathered, self->from_input);
    ae_net_wide_apply(&layer->full_state, across, self->from_state);
    ae_net_recur(self->from_input, self->from_state, 1, full, across);
    ae_net_wide_apply(&layer->scatter, across, self->scattered);
    add(self->z, self->scattered, all);
}

/* joined: `a` beside `b`, both [rows][channels]. */
static void join(ae_mask_net *self, const float *a, const float *b, int rows)
{
    const int c = self->channels;
    for (int r = 0; r < rows; r++) {
        if (a != NULL) ae_copy(self->joined + 2 * r * c, a + r * c, c);
        ae_copy(self->joined + (2 * r + 1) * c, b + r * c, c);
    }
}

/* And back: joined is [halves][2 channels] then. */
static void step_up(ae_mask_net *self)
{
    const ae_net_weights *weights = self->weights;
    const int c = self->channels;
    join(self, self->z, self->down2, k_bands);
    ae_net_dense_apply(&weights->up2, self->joined, 2 * c, k_bands, self->up);
    ae_net_overlap(self->up, 4 * c, k_bands, c, self->joined, 2 * c);
    for (int r = 0; r < k_halves; r++) {
        add(self->joined + 2 * r * c, weights->up2_bias, c);
        rectify(self->joined + 2 * r * c, c);
    }
    join(self, NULL, self->down1 + c, k_halves);
}

static void answer_gains(ae_mask_net *self, float *restrict gain)
{
    ae_net_dense_apply(&self->weights->up1, self->joined, 2 * self->channels, k_halves, self->up);
    ae_net_overlap(self->up, ae_net_stride(4), k_halves, 1, self->logits, 1);
    const float *restrict logits = self->logits, *restrict bias = self->weights->bias;
#pragma omp simd
    for (int p = 0; p < k_points; p++) gain[p] = ae_net_logistic(logits[p] + bias[p]);
}

/* Each of the first halves gives the filters of two bins: real parts, then imaginary ones. */
static void answer_taps(ae_mask_net *self, ae_mask_net_answer *answer)
{
    float *restrict filters = self->up;
    ae_net_dense_apply(&self->weights->tap, self->joined, 2 * self->channels, k_singles / 2,
                       filters);
    for (int k = 0; k < k_singles; k++) {
        const float *restrict own = filters + k / 2 * k_tap_stride + k % 2 * 2 * k_taps;
        for (int n = 0; n < k_taps; n++) {
            answer->tap_re[n * k_singles + k] = own[n];
            answer->tap_im[n * k_singles + k] = own[k_taps + n];
        }
    }
}

void ae_mask_net_process(ae_mask_net *self, const ae_mask_net_hop *hop, ae_mask_net_answer *answer)
{
    float voice[8]; /* ae_net_stride(1) */
    gather_inputs(self, hop);
    step_down(self);
    for (int n = 0; n < self->layers; n++) run_layer(self, n);
    step_up(self);
    answer_gains(self, answer->gain);
    answer_taps(self, answer);
    ae_net_dense_apply(&self->weights->voice, self->across + (self->layers - 1) * self->full,
                       self->full, 1, voice);
    answer->speech = ae_net_logistic(voice[0]);
}
