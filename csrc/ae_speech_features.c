#include "ae_speech_features.h"

#include "ae_vector_math.h"

enum {
    k_bands = k_ae_speech_bands,
    k_lags = k_ae_speech_lags,
    k_kept = 16,       /* spectra that are remembered: more than the longest lag */
    k_most_lines = 512 /* bins to 3.9 kHz: 7.6 Hz apart at least */
};

static const float k_edges_hz[k_bands + 1] = {60.0f,   200.0f,  470.0f,  850.0f, 1250.0f,
                                              1800.0f, 3200.0f, 5900.0f, 8000.0f};
static const int k_lag_hops[k_lags] = {1, 2, 4, 8, 14};
static const float k_lines_from_hz = 100.0f, k_lines_to_hz = 3900.0f;
static const float k_envelope_hz = 190.0f; /* to either side: wider than two harmonics */
/* log2 of a power ratio */
static const float k_over_noise_least = -2.0f, k_over_noise_most = 12.0f;
static const float k_prior_least = -6.0f, k_prior_most = 10.0f;
static const float k_tall = 1.5f;               /* pitch peak: more is as good */
static const float k_same_pitch_octaves = 0.1f; /* within a hop */
static const float k_pitch_middle_log2 = 7.2f;  /* 147 Hz */
static const float k_most_energy = 8.0f;        /* of the fine structure, mean square */
static const float k_power_least = 1e-20f;

/* Smoothing coefficients per hop. */
typedef struct {
    float phone, syllable, two_syllables; /* 30, 150, 300 ms */
    float line, pitch, glide;             /* 20, 50, 100 ms */
} rates;

static const rates k_at_once = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};

struct ae_speech_features {
    ae_speech_features_config config;
    rates rates;
    int edges[k_bands + 1];
    int first, lines, reach; /* of the fine structure */
    int begun, newest;       /* 0: the next hop is the first; slot of the newest spectrum */
    float octave;            /* log2 of the pitch one hop ago */
    float height;            /* of the pitch peak then */
    float energy[k_kept];    /* of each spectrum that is remembered */
    float *log_power, *envelope;
    float *spectra; /* [k_kept][lines] */
    float features[k_ae_speech_features];
};

static ae_speech_features *lay_out(ae_arena *arena, const ae_speech_features *shape)
{
    ae_speech_features *self = AE_TAKE(arena, 1, ae_speech_features);
    ae_speech_features filled = *shape;
    filled.log_power = AE_TAKE(arena, shape->lines, float);
    filled.envelope = AE_TAKE(arena, shape->lines, float);
    filled.spectra = AE_TAKE(arena, k_kept * shape->lines, float);
    if (self != NULL) *self = filled;
    return self;
}

static int bin_at(const ae_speech_features_config *config, float frequency_hz)
{
    return ae_clamp_int((int)(frequency_hz / config->bin_hz + 0.5f), 0, config->bins);
}

ae_status ae_speech_features_create(ae_speech_features **out,
                                    const ae_speech_features_config *config)
{
    *out = NULL;
    if (!(config->hop_ms >= 1.0f && config->hop_ms <= 100.0f) ||
        !(config->bin_hz >= 8.0f && config->bin_hz <= 70.0f) || config->bins > 65536 ||
        (float)config->bins * config->bin_hz < 0.99f * k_lines_to_hz)
        return AE_ERROR_ARGUMENT;
    ae_speech_features shape = {.config = *config};
    for (int b = 0; b <= k_bands; b++) shape.edges[b] = bin_at(config, k_edges_hz[b]);
    shape.first = bin_at(config, k_lines_from_hz);
    shape.lines = ae_clamp_int(bin_at(config, k_lines_to_hz) - shape.first, 1, k_most_lines);
    shape.reach = (int)(k_envelope_hz / config->bin_hz + 0.5f);
    const float hop_ms = config->hop_ms;
    shape.rates = (rates){.phone = ae_one_pole(30.0f, hop_ms),
                          .syllable = ae_one_pole(150.0f, hop_ms),
                          .two_syllables = ae_one_pole(300.0f, hop_ms),
                          .line = ae_one_pole(20.0f, hop_ms),
                          .pitch = ae_one_pole(50.0f, hop_ms),
                          .glide = ae_one_pole(100.0f, hop_ms)};
    ae_arena arena = {0};
    lay_out(&arena, &shape);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, &shape);
    ae_speech_features_reset(*out);
    return AE_OK;
}

void ae_speech_features_destroy(ae_speech_features *self) { ae_free(self); }

void ae_speech_features_reset(ae_speech_features *self)
{
    self->begun = self->newest = 0;
    self->octave = k_pitch_middle_log2;
    self->height = 0.0f;
    ae_zero(self->energy, k_kept);
    ae_zero(self->spectra, k_kept * self->lines);
    ae_zero(self->features, k_ae_speech_features);
}

static void follow(float *mean, float value, float rate) { *mean += rate * (value - *mean); }

static float log2_within(float value, float least, float most)
{
    return ae_clamp(ae_log2(ae_max(value, k_power_least)), least, most);
}

/* Fills [4 bands]: over the noise now, fast, slow; prior SNR. Returns the mean distance of now from
 * slow. */
static float judge_bands(ae_speech_features *self, const rates *rate, const ae_speech_hop *hop)
{
    const float *restrict power = hop->power, *restrict noise = hop->noise;
    const float *restrict prior = hop->prior_snr;
    float *now = self->features, *fast = now + k_bands, *slow = fast + k_bands;
    float *snr = slow + k_bands, distance = 0.0f;
    for (int b = 0; b < k_bands; b++) {
        const int from = self->edges[b], to = self->edges[b + 1];
        if (to > from) {
            float p = 0.0f, n = k_power_least, s = 0.0f;
#pragma omp simd reduction(+ : p, n, s)
            for (int k = from; k < to; k++) {
                p += power[k];
                n += noise[k];
                s += prior[k];
            }
            now[b] = log2_within(p / n + 0.25f, k_over_noise_least, k_over_noise_most);
            snr[b] = log2_within(s / (float)(to - from), k_prior_least, k_prior_most);
        } else { /* beyond the signal's own */
            now[b] = now[b - 1];
            snr[b] = snr[b - 1];
        }
        follow(&fast[b], now[b], rate->phone);
        follow(&slow[b], now[b], rate->syllable);
        distance += fabsf(now[b] - slow[b]);
    }
    return distance / (float)k_bands;
}

/* Fine structure of the spectrum over the noise, into the next slot. Returns its mean square. */
static float find_lines(ae_speech_features *self, const ae_speech_hop *hop)
{
    const float *restrict power = hop->power + self->first;
    const float *restrict noise = hop->noise + self->first;
    const int lines = self->lines;
    float *restrict log_power = self->log_power;
#pragma omp simd
    for (int k = 0; k < lines; k++) log_power[k] = ae_log2(power[k] + noise[k] + k_power_least);
    ae_moving_mean(log_power, self->envelope, lines, self->reach);
    self->newest = (self->newest + 1) % k_kept;
    float *restrict fine = self->spectra + self->newest * lines, energy = 0.0f;
    const float *restrict envelope = self->envelope;
#pragma omp simd reduction(+ : energy)
    for (int k = 0; k < lines; k++) {
        fine[k] = log_power[k] - envelope[k];
        energy += fine[k] * fine[k];
    }
    self->energy[self->newest] = energy;
    return energy / (float)lines;
}

/* Fills [2 lags]: likeness to earlier spectra, fast and slow. */
static void compare_lines(ae_speech_features *self, const rates *rate, float *fast)
{
    float *slow = fast + k_lags;
    const float *restrict fine = self->spectra + self->newest * self->lines;
    for (int i = 0; i < k_lags; i++) {
        const int then = (self->newest + k_kept - k_lag_hops[i]) % k_kept;
        const float *restrict earlier = self->spectra + then * self->lines;
        float likeness = 0.0f;
#pragma omp simd reduction(+ : likeness)
        for (int k = 0; k < self->lines; k++) likeness += fine[k] * earlier[k];
        likeness /= sqrtf((self->energy[self->newest] + 1e-3f) * (self->energy[then] + 1e-3f));
        follow(&fast[i], likeness, rate->line);
        follow(&slow[i], likeness, rate->syllable);
    }
}

/* Fills [7]: height of the pitch peak now, fast, slow; height while it stays, fast and slow; how
 * much it glides; where it is. */
static void judge_pitch(ae_speech_features *self, const rates *rate, const ae_speech_hop *hop,
                        float *to)
{
    const float height = ae_clamp(hop->pitch_strength, 0.0f, k_tall);
    const float octave = ae_log2(ae_clamp(hop->pitch_hz, 40.0f, 640.0f));
    const float glide = fabsf(octave - self->octave);
    const float stays = glide < k_same_pitch_octaves ? ae_min(height, self->height) : 0.0f;
    to[0] = height;
    follow(&to[1], height, rate->phone);
    follow(&to[2], height, rate->syllable);
    follow(&to[3], stays, rate->pitch);
    follow(&to[4], stays, rate->two_syllables);
    follow(&to[5], height * ae_min(glide, k_same_pitch_octaves), rate->glide);
    to[6] = octave - k_pitch_middle_log2;
    self->octave = octave;
    self->height = height;
}

const float *ae_speech_features_update(ae_speech_features *self, const ae_speech_hop *hop)
{
    const rates *rate = self->begun ? &self->rates : &k_at_once;
    self->begun = 1;
    const float distance = judge_bands(self, rate, hop);
    float *lines = self->features + 4 * k_bands;
    float *pitch = lines + 2 * k_lags, *rest = pitch + 7;
    rest[0] = ae_min(find_lines(self, hop), k_most_energy);
    compare_lines(self, rate, lines);
    judge_pitch(self, rate, hop, pitch);
    follow(&rest[1], distance, rate->two_syllables);
    follow(&rest[2], rest[0], rate->syllable);
    return self->features;
}
