#include "ae_automix.h"

#include "ae_math.h"

/* Hearing */
enum { k_segments = 4, k_span_blocks = 30, k_second_blocks = 100 };
static const float k_smoothing = 0.22f;
static const float k_bias = 1.6f;
static const float k_body_least = 2e-7f;  /* floor never below: -67 dBFS */
static const float k_hiss_least = 1e-7f;
static const float k_body_unknown = 3e-6f; /* -55 dBFS */
static const float k_hiss_unknown = 3e-6f;
static const float k_silence = 1e-10f;
static const float k_power_most = 16.0f;
static const float k_strong[2] = {10.0f, 5.0f};
static const float k_weak[2] = {4.0f, 2.5f};
static const float k_keep[2] = {3.0f, 2.0f};
static const float k_steady[2] = {2.5f, 1.6f};
enum { k_steady_young = 1, k_steady_old = 4 };

static const int k_hang_blocks = 40;
static const int k_tentative_blocks = 10;
static const float k_confirm_blocks = 6.0f;
static const float k_confirm_most = 20.0f;
static const float k_cross_share = 0.05f; /* -13 dB */
static const float k_reference_decay = 0.86f;
static const float k_close_step = 0.06f;

void ae_automix_mic_reset(ae_automix_mic *mic)
{
    memset(mic, 0, sizeof *mic);
    mic->body.floor = k_body_unknown;
    mic->hiss.floor = k_hiss_unknown;
}

static void measure(ae_automix_mic *mic, const float *const *in, int channels, int frames)
{
    const int lag = frames > 160 ? (frames + 80) / 160 : 1;
    float body = 0.0f, hiss = 0.0f;
    for (int c = 0; c < channels; c++) {
        const float *restrict x = in[c];
        for (int s = 0; s < k_segments; s++) {
            const int from = s * frames / k_segments, to = (s + 1) * frames / k_segments;
            float sum = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : sum, squares)
            for (int n = from; n < to; n++) {
                sum += x[n];
                squares += x[n] * x[n];
            }
            body += squares - sum * sum / (float)(to - from);
        }
        float changes = 0.0f;
#pragma omp simd reduction(+ : changes)
        for (int n = lag; n < frames; n++) {
            const float change = x[n] - x[n - lag];
            changes += change * change;
        }
        hiss += changes;
    }
    body /= (float)frames;
    hiss /= (float)(frames - lag);
    const int usable = body <= 1e30f && hiss <= 1e30f;
    mic->body.power = usable ? ae_clamp(body, 0.0f, k_power_most) : 0.0f;
    mic->hiss.power = usable ? ae_clamp(hiss, 0.0f, k_power_most) : 0.0f;
}

static float least_of(const ae_automix_band *band, int filled)
{
    float least = band->span_minimum;
    for (int i = 0; i < filled; i++) least = ae_min(least, band->minimum[i]);
    return least;
}

static void follow_band(ae_automix_band *band, int first, int span_begins)
{
    band->smoothed += (first ? 1.0f : k_smoothing) * (band->power - band->smoothed);
    if (span_begins) band->span_minimum = band->span_maximum = band->smoothed;
    band->span_minimum = ae_min(band->span_minimum, band->smoothed);
    band->span_maximum = ae_max(band->span_maximum, band->smoothed);
}

static void end_span(ae_automix_mic *mic, ae_automix_band *band, float unknown, float least, int take)
{
    band->minimum[mic->next] = band->span_minimum;
    float found = k_bias * least_of(band, mic->filled);
    if (mic->filled < AE_AUTOMIX_SPANS) found = ae_min(found, unknown);
    if (take) {
        found = 1.1f * 0.5f * (band->span_minimum + band->span_maximum);
        for (int i = 0; i < AE_AUTOMIX_SPANS; i++) band->minimum[i] = found / k_bias;
    }
    band->floor = ae_max(found, least);
}

static void follow_floor(ae_automix_mic *mic)
{
    const int first = mic->filled == 0 && mic->span_blocks == 0;
    follow_band(&mic->body, first, mic->span_blocks == 0);
    follow_band(&mic->hiss, first, mic->span_blocks == 0);
    mic->body.floor = ae_max(ae_min(mic->body.floor, k_bias * mic->body.smoothed), k_body_least);
    mic->hiss.floor = ae_max(ae_min(mic->hiss.floor, k_bias * mic->hiss.smoothed), k_hiss_least);
    if (++mic->span_blocks < k_span_blocks) return;
    mic->span_blocks = 0;
    const int steady = mic->body.span_maximum < k_steady[0] * mic->body.span_minimum &&
                       mic->hiss.span_maximum < k_steady[1] * mic->hiss.span_minimum;
    mic->steady_spans = steady ? mic->steady_spans + 1 : 0;
    const int young = mic->filled < AE_AUTOMIX_SPANS;
    const int take = mic->steady_spans >= (young ? k_steady_young : k_steady_old);
    if (mic->filled < AE_AUTOMIX_SPANS) mic->filled++;
    if (take) mic->filled = AE_AUTOMIX_SPANS;
    end_span(mic, &mic->body, k_body_unknown, k_body_least, take);
    end_span(mic, &mic->hiss, k_hiss_unknown, k_hiss_least, take);
    mic->next = (mic->next + 1) % AE_AUTOMIX_SPANS;
}

void ae_automix_mic_hear(ae_automix_mic *mic, const float *const *in, int channels, int frames,
                         float speech_probability)
{
    measure(mic, in, channels, frames);
    const float body = mic->body.power, hiss = mic->hiss.power;
    const float over[2] = {body / mic->body.floor, hiss / mic->hiss.floor};
    const int strong = over[0] > k_strong[0] || over[1] > k_strong[1];
    const int weak = over[0] > k_weak[0] || over[1] > k_weak[1];
    const int keep = over[0] > k_keep[0] || over[1] > k_keep[1];
    mic->weak_blocks = weak ? mic->weak_blocks + 1 : 0;
    mic->evidence = strong ? 3 : weak ? (mic->weak_blocks > 1 ? 3 : 2) : keep ? 1 : 0;
    mic->present = 1;
    mic->level += (body > mic->level ? 0.6f : 0.15f) * (body - mic->level);
    mic->probability_known = speech_probability >= 0.0f;
    if (mic->probability_known) {
        const float p = ae_min(speech_probability, 1.0f);
        mic->held_probability += (p > mic->held_probability ? 1.0f : 0.05f) * (p - mic->held_probability);
        if (p >= 0.6f && mic->evidence == 2) mic->evidence = 3;
        if (mic->held_probability < 0.2f && mic->sound_blocks > 12.0f) mic->evidence = 0;
    }
    if (body > k_silence && !(speech_probability > 0.5f)) follow_floor(mic);
}

void ae_automix_mic_rest(ae_automix_mic *mic)
{
    mic->present = mic->evidence = mic->weak_blocks = mic->hang_blocks = mic->talking = 0;
    mic->sound_blocks = 0.0f;
    mic->level = 0.0f;
}

void ae_automix_reset(ae_automix *self)
{
    memset(self, 0, sizeof *self);
    self->held = self->loudest = -1;
}

static float voice_of(const ae_automix_mic *mic)
{
    const float voice = ae_max(mic->level - mic->body.floor, 0.1f * mic->level);
    return mic->priority_db != 0.0f ? voice * ae_power_from_db(mic->priority_db) : voice;
}

static void decide(ae_automix *self, ae_automix_mic *mic, int index)
{
    int evidence = mic->evidence;
    if (index != self->loudest && evidence > 0 && voice_of(mic) < k_cross_share * self->reference)
        evidence = 0;
    const int active = evidence == 3 || (evidence > 0 && mic->hang_blocks > 0);
    mic->sound_blocks = ae_clamp(mic->sound_blocks + (active ? 1.0f : -0.5f), 0.0f, k_confirm_most);
    if (mic->hang_blocks > 0) mic->hang_blocks--;
    const int speech = !mic->probability_known || mic->held_probability >= 0.2f;
    if (active && speech && (mic->talking || mic->sound_blocks >= k_confirm_blocks)) {
        mic->talking = 1;
        mic->hang_blocks = k_hang_blocks;
    } else if (active && mic->hang_blocks < k_tentative_blocks) {
        mic->hang_blocks = k_tentative_blocks;
    }
    if (mic->hang_blocks == 0) mic->talking = 0;
    mic->quiet_blocks = mic->talking ? 0 : ae_clamp_int(mic->quiet_blocks + 1, 0, 1 << 30);
}

void ae_automix_share(ae_automix *self, ae_automix_mic *const *mics, int count)
{
    float loudest = 0.0f, top = 0.0f;
    int first = -1;
    self->reference *= k_reference_decay;
    for (int i = 0; i < count; i++) {
        ae_automix_mic *mic = mics[i];
        if (mic == NULL || (mic->evidence == 0 && mic->hang_blocks == 0 && mic->sound_blocks == 0.0f)) continue;
        decide(self, mic, i);
        if (mic->hang_blocks == 0) continue;
        const float voice = voice_of(mic);
        top = ae_max(top, voice);
        if (mic->talking && voice > loudest) {
            loudest = voice;
            first = i;
        }
    }
    if (first >= 0) {
        self->held = first;
        if (loudest > self->reference) {
            self->reference = loudest;
            self->loudest = first;
        }
        if (self->voice_blocks < 50)
            self->voice += (loudest - self->voice) / (float)++self->voice_blocks;
        else
            self->voice *= loudest > self->voice ? 1.01f : 1.0f / 1.01f;
        top = ae_min(top, 6.3f * self->voice);
    }
    float squares = 0.0f;
    for (int i = 0; i < count; i++) {
        ae_automix_mic *mic = mics[i];
        if (mic == NULL) continue;
        const int hold = first < 0 && i == self->held && mic->present;
        float target = hold ? 1.0f : 0.0f;
        if (!hold && mic->hang_blocks > 0)
            target = ae_clamp(2.5f * sqrtf(voice_of(mic) / ae_max(top, 1e-20f)), 0.2f, 1.0f);
        if (target == 0.0f && mic->gain == 0.0f) continue;
        squares += target * target;
    }
    const float scale = squares > 1.96f ? 1.4f / sqrtf(squares) : 1.0f;
    for (int i = 0; i < count; i++) {
        ae_automix_mic *mic = mics[i];
        if (mic == NULL) continue;
        const int hold = first < 0 && i == self->held && mic->present;
        if (!hold && mic->hang_blocks == 0 && mic->gain == 0.0f) continue;
        float target = hold ? 1.0f : 0.0f;
        if (!hold && mic->hang_blocks > 0)
            target = ae_clamp(2.5f * sqrtf(voice_of(mic) / ae_max(top, 1e-20f)), 0.2f, 1.0f);
        target *= scale;
        mic->gain = target < mic->gain ? ae_max(target, mic->gain - k_close_step) : target;
        if (mic->gain < 1e-3f) mic->gain = 0.0f;
    }
}
