#include "ae_hum_search.h"

#include "ae_vector_math.h"

enum {
    k_max_bins = 65536,
    k_mains = 2,
    k_lines = 12,
    k_parts = 16,         /* averages kept */
    k_parts_per_look = 4, /* 0.5 s */
    k_steps = 6,          /* bases tried each side of the nominal one: 0.3 Hz */
    k_bases = 2 * k_steps + 1,
    k_near = 5,        /* bins */
    k_bins_most = 160, /* whose power is watched: 5 kHz */
    k_low_lines = 3,   /* hum is strongest in its first lines */
    k_lines_least = 2,
};

static const float k_mains_hz[k_mains] = {50.0f, 60.0f};
static const float k_part_s = 0.12f; /* an even number of hops: neighbours 50 Hz away cancel */
static const float k_step_hz = 0.05f;
static const float k_steady_least = 0.6f; /* noise gets there once in a million */
static const float k_chance = 0.35f;      /* what the best of 21 bases reaches by chance */
static const float k_score_least = 0.6f;
static const float k_same_hz = 0.11f;
/* A line this far below its neighbours, or below the loudest bin, may be what these leak: a tone
 * 100 Hz away turns by as much in a hop of 10 ms. */
static const float k_over_near = 0.01f, k_over_all = 3e-5f;
static const float k_power_most = 1e12f; /* of |X|^2: no audio */

struct ae_hum_search {
    float bin_hz;
    double hop_s;
    int bins; /* whose power is watched */
    int part_hops, hops, parts, part_at, parts_since_look;
    int bin[k_mains][k_lines];
    double phase[k_mains]; /* turns of the nominal base */
    float sum_re[k_mains][k_lines], sum_im[k_mains][k_lines];
    float part_re[k_mains][k_lines][k_parts], part_im[k_mains][k_lines][k_parts];
    float power[k_bins_most]; /* mean of this part */
    float score[k_mains], last_hz;
};

ae_status ae_hum_search_create(ae_hum_search **out, const ae_hum_search_config *config)
{
    *out = NULL;
    if (config->bins < 32 || config->bins > k_max_bins ||
        !(config->bin_hz >= 10.0f && config->bin_hz <= 60.0f) ||
        !(config->hop_s >= 0.005f && config->hop_s <= 0.02f))
        return AE_ERROR_ARGUMENT;
    ae_hum_search *self = ae_allocate(sizeof(ae_hum_search));
    if (self == NULL) return AE_ERROR_MEMORY;
    self->bin_hz = config->bin_hz;
    self->hop_s = (double)config->hop_s;
    self->part_hops = 2 * (int)(0.5f * k_part_s / config->hop_s + 0.5f);
    for (int m = 0; m < k_mains; m++)
        for (int h = 0; h < k_lines; h++)
            self->bin[m][h] = ae_clamp_int(
                (int)(k_mains_hz[m] * (float)(h + 1) / config->bin_hz + 0.5f), 1, config->bins - 1);
    self->bins = config->bins < k_bins_most ? config->bins : k_bins_most;
    ae_hum_search_reset(self);
    *out = self;
    return AE_OK;
}

void ae_hum_search_destroy(ae_hum_search *self) { ae_free(self); }

void ae_hum_search_reset(ae_hum_search *self)
{
    self->hops = self->parts = self->part_at = self->parts_since_look = 0;
    self->last_hz = 0.0f;
    ae_zero(self->power, k_bins_most);
    for (int m = 0; m < k_mains; m++) {
        self->phase[m] = 0.0;
        self->score[m] = 0.0f;
        ae_zero(self->sum_re[m], k_lines);
        ae_zero(self->sum_im[m], k_lines);
    }
}

float ae_hum_search_score(const ae_hum_search *self, int mains) { return self->score[mains]; }

static void add_hop(ae_hum_search *self, const float *re, const float *im)
{
#pragma omp simd
    for (int k = 0; k < self->bins; k++) self->power[k] += re[k] * re[k] + im[k] * im[k];
    for (int m = 0; m < k_mains; m++) {
        const float angle = 2.0f * k_ae_pi * (float)self->phase[m];
        const float step_re = cosf(angle), step_im = -sinf(angle);
        float turn_re = step_re, turn_im = step_im;
        for (int h = 0; h < k_lines; h++) {
            const float x_re = re[self->bin[m][h]], x_im = im[self->bin[m][h]];
            self->sum_re[m][h] += x_re * turn_re - x_im * turn_im;
            self->sum_im[m][h] += x_re * turn_im + x_im * turn_re;
            const float next_re = turn_re * step_re - turn_im * step_im;
            turn_im = turn_re * step_im + turn_im * step_re;
            turn_re = next_re;
        }
        const double phase = self->phase[m] + (double)k_mains_hz[m] * self->hop_s;
        self->phase[m] = phase - (double)(int)phase;
    }
}

/* The least |sum|^2 of a part at which the line in bin k is no leak. */
static float least_power(const ae_hum_search *self, int k, float most_of_all)
{
    float near = 0.0f;
    for (int i = k - k_near; i <= k + k_near; i++)
        if (i > 0 && i < self->bins) near = ae_max(self->power[i], near);
    return (float)self->part_hops * ae_max(k_over_near * near, k_over_all * most_of_all);
}

static void end_part(ae_hum_search *self)
{
    float most = 0.0f;
    for (int k = 1; k < self->bins; k++) most = ae_max(self->power[k], most);
    for (int m = 0; m < k_mains; m++)
        for (int h = 0; h < k_lines; h++) {
            const float re = self->sum_re[m][h], im = self->sum_im[m][h];
            const int heard = re * re + im * im > least_power(self, self->bin[m][h], most);
            self->part_re[m][h][self->part_at] = heard ? re : 0.0f;
            self->part_im[m][h][self->part_at] = heard ? im : 0.0f;
            self->sum_re[m][h] = self->sum_im[m][h] = 0.0f;
        }
    ae_zero(self->power, k_bins_most);
    self->part_at = (self->part_at + 1) % k_parts;
    self->parts = self->parts < k_parts ? self->parts + 1 : k_parts;
    self->parts_since_look++;
    self->hops = 0;
}

/* Oldest first, cut down to the median magnitude, total power 1. Returns 0 in silence. */
static int level_parts(const ae_hum_search *self, int mains, int line, float *out_re, float *out_im)
{
    float size[k_parts], sorted[k_parts], power = 0.0f;
    for (int i = 0; i < k_parts; i++) {
        const int at = (self->part_at + i) % k_parts;
        out_re[i] = self->part_re[mains][line][at];
        out_im[i] = self->part_im[mains][line][at];
        size[i] = sqrtf(out_re[i] * out_re[i] + out_im[i] * out_im[i]);
        int to = i;
        for (; to > 0 && sorted[to - 1] > size[i]; to--) sorted[to] = sorted[to - 1];
        sorted[to] = size[i];
    }
    const float median = 0.5f * (sorted[k_parts / 2 - 1] + sorted[k_parts / 2]);
    if (!(median > 1e-9f)) return 0;
    for (int i = 0; i < k_parts; i++) {
        const float kept = size[i] > median ? median / size[i] : 1.0f;
        out_re[i] *= kept;
        out_im[i] *= kept;
        power += out_re[i] * out_re[i] + out_im[i] * out_im[i];
    }
    const float scale = 1.0f / sqrtf(power);
    for (int i = 0; i < k_parts; i++) {
        out_re[i] *= scale;
        out_im[i] *= scale;
    }
    return 1;
}

/* |sum of the parts, turned back by `turns` each|^2 / parts, for every base tried. */
static void find_coherences(const float *re, const float *im, const float *turns, float *coherence)
{
    float step_re[k_bases], step_im[k_bases], turn_re[k_bases], turn_im[k_bases];
    float sum_re[k_bases], sum_im[k_bases];
    for (int i = 0; i < k_bases; i++) {
        const float angle = 2.0f * k_ae_pi * turns[i];
        step_re[i] = cosf(angle);
        step_im[i] = -sinf(angle);
        turn_re[i] = 1.0f;
        turn_im[i] = sum_re[i] = sum_im[i] = 0.0f;
    }
    for (int part = 0; part < k_parts; part++) {
        const float x_re = re[part], x_im = im[part];
#pragma omp simd
        for (int i = 0; i < k_bases; i++) {
            sum_re[i] += x_re * turn_re[i] - x_im * turn_im[i];
            sum_im[i] += x_re * turn_im[i] + x_im * turn_re[i];
            const float next_re = turn_re[i] * step_re[i] - turn_im[i] * step_im[i];
            turn_im[i] = turn_re[i] * step_im[i] + turn_im[i] * step_re[i];
            turn_re[i] = next_re;
        }
    }
    for (int i = 0; i < k_bases; i++)
        coherence[i] = (sum_re[i] * sum_re[i] + sum_im[i] * sum_im[i]) / (float)k_parts;
}

/* The best base near one mains frequency; 0 where there is no hum. */
static float look(ae_hum_search *self, int mains)
{
    float score[k_bases] = {0.0f};
    int steady[k_bases] = {0}, low[k_bases] = {0};
    const float part_s = (float)self->part_hops * (float)self->hop_s;
    for (int h = 0; h < k_lines; h++) {
        float re[k_parts], im[k_parts];
        if (!level_parts(self, mains, h, re, im)) continue;
        float turns[k_bases], coherence[k_bases];
        for (int i = 0; i < k_bases; i++)
            turns[i] = (float)((i - k_steps) * (h + 1)) * k_step_hz * part_s;
        find_coherences(re, im, turns, coherence);
        for (int i = 0; i < k_bases; i++) {
            const float c = coherence[i];
            score[i] += ae_max(c - k_chance, 0.0f);
            if (c < k_steady_least) continue;
            steady[i]++;
            low[i] |= h < k_low_lines;
        }
    }
    int best = 0;
    for (int i = 1; i < k_bases; i++)
        if (score[i] > score[best]) best = i;
    self->score[mains] = score[best];
    if (steady[best] < k_lines_least || !low[best] || score[best] < k_score_least) return 0.0f;
    return k_mains_hz[mains] + (float)(best - k_steps) * k_step_hz;
}

float ae_hum_search_update(ae_hum_search *self, const float *re, const float *im)
{
    float power = 0.0f;
    for (int h = 0; h < k_lines; h++) {
        const int a = self->bin[0][h], b = self->bin[1][h];
        power += re[a] * re[a] + im[a] * im[a] + re[b] * re[b] + im[b] * im[b];
    }
    if (!(power < k_power_most)) { /* no audio: what went before says nothing about what follows */
        ae_hum_search_reset(self);
        return 0.0f;
    }
    add_hop(self, re, im);
    if (++self->hops < self->part_hops) return 0.0f;
    end_part(self);
    if (self->parts < k_parts || self->parts_since_look < k_parts_per_look) return 0.0f;
    self->parts_since_look = 0;
    const float at_50_hz = look(self, 0), at_60_hz = look(self, 1);
    const float found_hz = self->score[0] >= self->score[1] ? at_50_hz : at_60_hz;
    const int again = found_hz > 0.0f && fabsf(found_hz - self->last_hz) < k_same_hz;
    self->last_hz = found_hz;
    return again ? found_hz : 0.0f;
}
