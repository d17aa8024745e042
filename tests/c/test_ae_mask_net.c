/* Truth: the same net in double precision with libm, written after training/net.py, from the same
 * file. tests/test_mask_net.py holds it to PyTorch's answers as well. */
#include "ae_mask_net.h"

#include "ae_net_file.h"
#include "ae_test.h"

enum {
    k_points = AE_MASK_NET_POINTS,
    k_singles = AE_MASK_NET_SINGLES,
    k_taps = AE_MASK_NET_TAPS,
    k_bands = AE_NET_BANDS,
    k_most_full = 32,
    k_most_channels = 24,
    k_most_layers = 2
};

static const net_recipe k_recipe = {
    .channels = 24, .full = 32, .layers = 2, .size = 0.6f, .gain_bias = 0.5f, .seed = 11};

typedef struct {
    const ae_net_weights *weights;
    int channels, full, layers;
    double heard[k_points], late_re[k_singles], late_im[k_singles];
    double sub[k_most_layers][k_bands][k_most_channels], across[k_most_layers][k_most_full];
} reference;

static double logistic(double x) { return 1.0 / (1.0 + exp(-x)); }

static double dense(const ae_net_dense *layer, const double *in, int output)
{
    double sum = (double)layer->bias[output];
    for (int i = 0; i < layer->inputs; i++)
        sum += in[i] * (double)layer->weights[i * ae_net_stride(layer->outputs) + output];
    return sum;
}

static double wide(const ae_net_wide *layer, const double *in, int output)
{
    double sum = 0.0;
    for (int i = 0; i < layer->inputs; i++)
        sum += in[i] * (double)ae_net_wide_number(layer, output, i);
    return (double)layer->bias[output] + (double)layer->scale[output] * sum;
}

/* gates: what comes from the input and from the state, in the order reset, update, new. */
static double recurred(const double input[3], const double held[3], double state)
{
    const double reset = logistic(input[0] + held[0]), update = logistic(input[1] + held[1]);
    const double fresh = tanh(input[2] + reset * held[2]);
    return (1.0 - update) * fresh + update * state;
}

/* Points 2k - 1 .. 2k + 2 of `count` with `width` values each, side by side. */
static void take_four(const double *points, int count, int width, int k, double *four)
{
    for (int part = 0; part < 4; part++)
        for (int i = 0; i < width; i++) {
            const int point = 2 * k - 1 + part;
            four[part * width + i] = point >= 0 && point < count ? points[point * width + i] : 0.0;
        }
}

static void run_layer(reference *self, int n, double z[k_bands][k_most_channels])
{
    const ae_net_layer *layer = &self->weights->layers[n];
    const int c = self->channels, full = self->full;
    double flat[k_bands * k_most_channels], gathered[k_most_full], next[k_most_full];
    for (int b = 0; b < k_bands; b++) {
        double fresh[k_most_channels];
        for (int i = 0; i < c; i++) {
            double input[3], held[3];
            for (int g = 0; g < 3; g++) {
                input[g] = dense(&layer->sub_input, z[b], g * c + i);
                held[g] = dense(&layer->sub_state, self->sub[n][b], g * c + i);
            }
            fresh[i] = recurred(input, held, self->sub[n][b][i]);
        }
        for (int i = 0; i < c; i++) {
            self->sub[n][b][i] = fresh[i];
            z[b][i] += fresh[i];
            flat[b * c + i] = z[b][i];
        }
    }
    for (int o = 0; o < full; o++) gathered[o] = fmax(wide(&layer->gather, flat, o), 0.0);
    for (int i = 0; i < full; i++) {
        double input[3], held[3];
        for (int g = 0; g < 3; g++) {
            input[g] = wide(&layer->full_input, gathered, g * full + i);
            held[g] = wide(&layer->full_state, self->across[n], g * full + i);
        }
        next[i] = recurred(input, held, self->across[n][i]);
    }
    memcpy(self->across[n], next, sizeof(double) * (size_t)full);
    for (int b = 0; b < k_bands; b++)
        for (int i = 0; i < c; i++) z[b][i] += wide(&layer->scatter, next, b * c + i);
}

/* [points][inputs] */
static void gather(reference *self, const ae_mask_net_hop *hop, double *inputs)
{
    for (int p = 0; p < k_points; p++) {
        double *at = inputs + p * AE_NET_INPUTS;
        at[0] = (double)hop->heard[p];
        at[1] = self->heard[p];
        at[2] = at[3] = 0.0;
        for (int a = 0; a < AE_MASK_NET_ASIDE; a++)
            at[4 + a] = hop->aside[a] != NULL ? (double)hop->aside[a][p] : -2.0;
        self->heard[p] = at[0];
        if (p >= k_singles) continue;
        const double angle = 2.0 * 3.14159265358979323846 * 0.3125 * p;
        const double re = (double)hop->re[p], im = (double)hop->im[p];
        const double late_re = self->late_re[p] * cos(angle) - self->late_im[p] * sin(angle);
        const double late_im = self->late_re[p] * sin(angle) + self->late_im[p] * cos(angle);
        const double size = hypot(re, im) * hypot(late_re, late_im) + 1e-12;
        at[2] = (re * late_re + im * late_im) / size;
        at[3] = (im * late_re - re * late_im) / size;
        self->late_re[p] = re;
        self->late_im[p] = im;
    }
}

typedef struct {
    double gain[k_points], taps[k_singles][2 * k_taps], speech;
} wanted;

static void process(reference *self, const ae_mask_net_hop *hop, wanted *out)
{
    static double inputs[k_points * AE_NET_INPUTS], first[k_points / 2][k_most_channels];
    static double second[k_bands][k_most_channels], z[k_bands][k_most_channels];
    static double up[k_points / 2][2 * k_most_channels], logits[k_points];
    const ae_net_weights *weights = self->weights;
    const int c = self->channels;
    double four[4 * k_most_channels], packed[k_points / 2 * k_most_channels];
    gather(self, hop, inputs);
    for (int k = 0; k < k_points / 2; k++) {
        take_four(inputs, k_points, AE_NET_INPUTS, k, four);
        for (int i = 0; i < c; i++)
            packed[k * c + i] = first[k][i] = fmax(dense(&weights->down1, four, i), 0.0);
    }
    for (int k = 0; k < k_bands; k++) {
        take_four(packed, k_points / 2, c, k, four);
        for (int i = 0; i < c; i++)
            z[k][i] = second[k][i] =
                fmax(dense(&weights->down2, four, i) + (double)weights->place[k * c + i], 0.0);
    }
    for (int n = 0; n < self->layers; n++) run_layer(self, n, z);
    for (int k = 0; k < k_points / 2; k++)
        for (int i = 0; i < c; i++) up[k][i] = (double)weights->up2_bias[i];
    for (int k = 0; k < k_bands; k++) {
        double both[2 * k_most_channels];
        for (int i = 0; i < c; i++) {
            both[i] = z[k][i];
            both[c + i] = second[k][i];
        }
        for (int part = 0; part < 4; part++) {
            const int point = 2 * k - 1 + part;
            if (point < 0 || point >= k_points / 2) continue;
            for (int i = 0; i < c; i++) up[point][i] += dense(&weights->up2, both, part * c + i);
        }
    }
    for (int p = 0; p < k_points; p++) logits[p] = (double)weights->bias[p];
    for (int k = 0; k < k_points / 2; k++) {
        for (int i = 0; i < c; i++) {
            up[k][i] = fmax(up[k][i], 0.0);
            up[k][c + i] = first[k][i];
        }
        for (int part = 0; part < 4; part++) {
            const int point = 2 * k - 1 + part;
            if (point >= 0 && point < k_points) logits[point] += dense(&weights->up1, up[k], part);
        }
        for (int i = 0; k < k_singles / 2 && i < 4 * k_taps; i++)
            out->taps[2 * k + i / (2 * k_taps)][i % (2 * k_taps)] = dense(&weights->tap, up[k], i);
    }
    for (int p = 0; p < k_points; p++) out->gain[p] = logistic(logits[p]);
    out->speech = logistic(dense(&weights->voice, self->across[self->layers - 1], 0));
}

typedef struct {
    float heard[k_points], aside[AE_MASK_NET_ASIDE][k_points], re[k_singles], im[k_singles];
    uint32_t seed;
} scene;

/* Levels that wander, bins that turn; without a far end for a while. */
static ae_mask_net_hop play(scene *self, int t)
{
    for (int p = 0; p < k_points; p++) {
        self->heard[p] = ae_clamp(self->heard[p] + 0.3f * ae_random(&self->seed), -2.0f, 2.0f);
        for (int a = 0; a < AE_MASK_NET_ASIDE; a++)
            self->aside[a][p] = ae_max(self->heard[p] + 0.5f * ae_random(&self->seed), -2.0f);
    }
    for (int k = 0; k < k_singles; k++) {
        self->re[k] = 0.01f * ae_random(&self->seed);
        self->im[k] = 0.01f * ae_random(&self->seed);
    }
    const int far = t % 100 >= 50;
    return (ae_mask_net_hop){
        .heard = self->heard,
        .aside = {self->aside[0], far ? self->aside[1] : NULL, far ? self->aside[2] : NULL},
        .re = self->re,
        .im = self->im};
}

static ae_mask_net *make(const ae_net_model *model)
{
    ae_mask_net *self = NULL;
    CHECK(ae_mask_net_create(&self, model, 0.3125f) == AE_OK);
    return self;
}

static void test_it_is_the_net_of_the_file(void)
{
    static reference truth;
    static wanted right;
    net_recipe recipe = k_recipe;
    for (int n = 0; n < 2; n++) {
        recipe.channels = n ? 8 : 24;
        recipe.layers = n ? 1 : 2;
        ae_net_model *model = make_model(recipe);
        CHECK(model != NULL);
        ae_mask_net *self = make(model);
        truth = (reference){.weights = ae_net_model_weights(model),
                            .channels = recipe.channels,
                            .full = recipe.full,
                            .layers = recipe.layers};
        for (int p = 0; p < k_points; p++) truth.heard[p] = -2.0;
        scene sound = {.seed = 21};
        double worst = 0.0, spread = 0.0;
        for (int t = 0; t < 120; t++) {
            const ae_mask_net_hop hop = play(&sound, t);
            ae_mask_net_answer answer;
            ae_mask_net_process(self, &hop, &answer);
            process(&truth, &hop, &right);
            for (int p = 0; p < k_points; p++) {
                CHECK_NEAR(answer.gain[p], right.gain[p], 1e-4);
                worst = fmax(worst, fabs((double)answer.gain[p] - right.gain[p]));
                spread = fmax(spread, fabs(right.gain[p] - right.gain[0]));
            }
            for (int k = 0; k < k_singles; k++)
                for (int i = 0; i < k_taps; i++) {
                    CHECK_NEAR(answer.tap_re[i * k_singles + k], right.taps[k][i], 1e-3);
                    CHECK_NEAR(answer.tap_im[i * k_singles + k], right.taps[k][k_taps + i], 1e-3);
                }
            CHECK_NEAR(answer.speech, right.speech, 1e-4);
        }
        CHECK(spread > 0.3); /* the net says something */
        printf("largest error of a gain: %.1e\n", worst);
        ae_mask_net_destroy(self);
        ae_net_model_destroy(model);
    }
}

static void test_two_share_a_model_and_reset_is_new(void)
{
    ae_net_model *model = make_model(k_recipe);
    ae_mask_net *used = make(model), *other = make(model), *fresh = make(model);
    scene sound = {.seed = 21}, other_sound = {.seed = 5};
    const uint64_t allocations = ae_allocation_count();
    ae_mask_net_answer a, b;
    for (int t = 0; t < 120; t++) {
        const ae_mask_net_hop hop = play(&other_sound, t);
        ae_mask_net_process(used, &hop, &a);
    }
    ae_mask_net_reset(used);
    for (int t = 0; t < 120; t++) {
        const ae_mask_net_hop hop = play(&sound, t), else_hop = play(&other_sound, t);
        ae_mask_net_process(used, &hop, &a);
        ae_mask_net_process(other, &else_hop, &b);
        ae_mask_net_process(fresh, &hop, &b);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
    CHECK(ae_allocation_count() == allocations);
    ae_mask_net_destroy(used);
    ae_mask_net_destroy(other);
    ae_mask_net_destroy(fresh);
    ae_mask_net_destroy(NULL);
    ae_net_model_destroy(model);
}

/* Whatever comes in: answers are finite then and afterwards. */
static void test_bad_weather_passes(void)
{
    static const float values[] = {0.0f, 1e-40f, 1e12f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN};
    ae_net_model *model = make_model(k_recipe);
    for (int kind = 0; kind < 8; kind++) {
        ae_mask_net *self = make(model);
        scene sound = {.seed = 21};
        for (int t = 0; t < 60; t++) {
            ae_mask_net_hop hop = play(&sound, t);
            float bad[k_points];
            ae_fill(bad, values[kind], k_points);
            if (t >= 20 && t < 25)
                hop =
                    (ae_mask_net_hop){.heard = bad, .aside = {bad, bad, bad}, .re = bad, .im = bad};
            ae_mask_net_answer answer;
            ae_mask_net_process(self, &hop, &answer);
            for (int p = 0; p < k_points; p++) CHECK(ae_in_range(answer.gain[p], 0.0f, 1.0f));
            for (int i = 0; i < k_taps * k_singles; i++) {
                CHECK(ae_in_range(answer.tap_re[i], -1e3f, 1e3f));
                CHECK(ae_in_range(answer.tap_im[i], -1e3f, 1e3f));
            }
            CHECK(ae_in_range(answer.speech, 0.0f, 1.0f));
        }
        ae_mask_net_destroy(self);
    }
    ae_net_model_destroy(model);
}

int main(void)
{
    test_it_is_the_net_of_the_file();
    test_two_share_a_model_and_reset_is_new();
    test_bad_weather_passes();
    return AE_TEST_RESULT();
}
