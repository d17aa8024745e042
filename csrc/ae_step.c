#include "ae_step.h"

#include "ae_math.h"

static const float *const *input_rows(const ae_step_context *context, const ae_step *step)
{
    return (const float *const *)context->buses[step->input_bus].rows;
}

static float *const *output_rows(const ae_step_context *context, const ae_step *step)
{
    return context->buses[step->output_bus].rows;
}

int ae_step_node_count(const ae_step *step)
{
    const int most = (int)(sizeof step->nodes / sizeof step->nodes[0]);
    int count = 0;
    while (count < most && step->nodes[count] != NULL) count++;
    return count;
}

static int no_latency(const ae_step *step)
{
    (void)step;
    return 0;
}

static void read_nothing(const ae_step *step, ae_step_report *out)
{
    (void)step;
    (void)out;
}

static void highpass_process(const ae_step_context *context, const ae_step *step)
{
    ae_highpass_process(step->nodes[0], input_rows(context, step), output_rows(context, step));
}

static void highpass_reset(const ae_step *step, int channels)
{
    (void)channels;
    ae_highpass_reset(step->nodes[0]);
}

/* The mean of every `step`-th channel from `first` on; one channel is taken as it is. */
static const float *mean_of_channels(const ae_step_context *context, const ae_bus *far, int first,
                                     int step)
{
    if (first + step >= far->channels) return far->rows[first];
    float *mean = context->references[first];
    const float share = 1.0f / (float)((far->channels - first + step - 1) / step);
    ae_zero(mean, context->block_frames);
    for (int c = first; c < far->channels; c += step) {
        for (int n = 0; n < context->block_frames; n++) mean[n] += share * far->rows[c][n];
    }
    return mean;
}

/* A filter with one reference hears the mean of all channels, one with two the mean of channels 0,
 * 2, .. and that of 1, 3, ..; the far bus itself stays as it is for other readers. */
static void take_references(const ae_step_context *context, const ae_bus *far, int count,
                            const float **references)
{
    for (int i = 0; i < count; i++) {
        const int first = i < far->channels ? i : 0; /* one channel is both sides */
        references[i] = mean_of_channels(context, far, first, count);
    }
}

static void echo_process(const ae_step_context *context, const ae_step *step)
{
    const ae_bus *capture = &context->buses[step->input_bus],
                 *far = &context->buses[step->side_bus];
    const float *references[AE_STEP_REFERENCES];
    take_references(context, far, ae_echo_filter_far_channels(step->nodes[0]), references);
    for (int c = 0; c < capture->channels; c++) {
        ae_echo_filter_process(step->nodes[c], capture->rows[c], references,
                               context->buses[step->output_bus].rows[c]);
    }
}

static void echo_reset(const ae_step *step, int channels)
{
    for (int c = 0; c < channels; c++) ae_echo_filter_reset(step->nodes[c]);
}

static void echo_read(const ae_step *step, ae_step_report *out)
{
    ae_echo_filter_read(step->nodes[0], &out->echo);
}

/* One suppressor takes all channels, one of many its own. */
static void suppressor_process(const ae_step_context *context, const ae_step *step)
{
    const float *const *in = input_rows(context, step);
    float *const *out = output_rows(context, step);
    const ae_echo_view *views[AE_MAX_CHANNELS];
    const int has_echo = step->source_step >= 0 && context->heard[step->source_step];
    const ae_step *source = has_echo ? &context->steps[step->source_step] : NULL;
    for (int c = 0; source != NULL && c < context->buses[step->input_bus].channels; c++) {
        views[c] = ae_echo_filter_view(source->nodes[c]);
    }
    const int count = ae_step_node_count(step);
    for (int c = 0; c < count; c++) {
        ae_suppressor_process(step->nodes[c], in + c, source == NULL ? NULL : views + c, out + c);
    }
}

static void suppressor_reset(const ae_step *step, int channels)
{
    (void)channels;
    const int count = ae_step_node_count(step);
    for (int c = 0; c < count; c++) ae_suppressor_reset(step->nodes[c]);
}

/* The nets that a level leaves. */
static int tier_at(int shed_level)
{
    return shed_level < AE_SHED_LARGE_NET ? 2 : shed_level < AE_SHED_NETS ? 1 : 0;
}

static void suppressor_ease(const ae_step *step, int shed_level)
{
    const int count = ae_step_node_count(step);
    for (int c = 0; c < count; c++) ae_suppressor_hold_tier(step->nodes[c], tier_at(shed_level));
}

static int suppressor_eases(const ae_step *step, int shed_level)
{
    const ae_suppressor *first = step->nodes[0];
    return shed_level > 0 && ae_suppressor_tier_within(first, tier_at(shed_level)) <
                                 ae_suppressor_tier_within(first, tier_at(shed_level - 1));
}

static int suppressor_latency(const ae_step *step)
{
    return ae_suppressor_latency_frames(step->nodes[0]);
}

/* What one channel says joins what the others said: what is heard in one counts for all. */
static void join_findings(ae_suppressor_report *all, const ae_suppressor_report *one)
{
    all->speech_probability = ae_max(all->speech_probability, one->speech_probability);
    all->reverb_time_s = ae_max(all->reverb_time_s, one->reverb_time_s);
    all->hum_hz = ae_max(all->hum_hz, one->hum_hz);
    all->music = all->music || one->music;
    all->transient_count += one->transient_count;
    all->near_end_presence = ae_max(all->near_end_presence, one->near_end_presence);
    all->net_share = ae_max(all->net_share, one->net_share);
}

/* Reductions are those of the noise of all channels together, and of as much echo in each. */
static void suppressor_read(const ae_step *step, ae_step_report *out)
{
    ae_suppressor_report *all = &out->suppressor;
    ae_suppressor_read(step->nodes[0], all);
    const int count = ae_step_node_count(step);
    if (count == 1) return;
    float noise = 0.0f, noise_kept = 0.0f, echo_kept = 0.0f;
    for (int c = 0; c < count; c++) {
        ae_suppressor_report one;
        ae_suppressor_read(step->nodes[c], &one);
        const float power = ae_power_from_db(one.noise_level_dbfs);
        noise += power;
        noise_kept += power * ae_power_from_db(-one.noise_reduction_db);
        echo_kept += ae_power_from_db(-one.echo_reduction_db);
        if (c > 0) join_findings(all, &one);
    }
    all->noise_level_dbfs = ae_db_from_power(noise / (float)count);
    all->noise_reduction_db = ae_max(-ae_db_from_power(noise_kept / (noise + 1e-20f)), 0.0f);
    all->echo_reduction_db = ae_max(-ae_db_from_power(echo_kept / (float)count), 0.0f);
}

static void leveller_process(const ae_step_context *context, const ae_step *step)
{
    float probability = -1.0f; /* not known */
    if (step->source_step >= 0) {
        const ae_suppressor_report *report = &context->reports[step->source_step].suppressor;
        probability = report->speech_probability;
        ae_leveller_set_removed_noise_dbfs(step->nodes[0], report->noise_level_dbfs);
        ae_leveller_set_music(step->nodes[0], report->music);
    }
    ae_leveller_process(step->nodes[0], input_rows(context, step), probability,
                        output_rows(context, step));
}

/* The gain at which the last block ended, so that nothing jumps on either side of a pause. */
static void leveller_hold(const ae_step_context *context, const ae_step *step)
{
    ae_leveller_report report;
    ae_leveller_read(step->nodes[0], &report);
    const float gain = ae_amplitude_from_db(report.gain_db);
    const ae_bus *from = &context->buses[step->input_bus], *to = &context->buses[step->output_bus];
    for (int c = 0; c < from->channels; c++) {
        for (int n = 0; n < context->block_frames; n++) to->rows[c][n] = gain * from->rows[c][n];
    }
}

static void leveller_reset(const ae_step *step, int channels)
{
    (void)channels;
    ae_leveller_reset(step->nodes[0]);
}

static void leveller_read(const ae_step *step, ae_step_report *out)
{
    ae_leveller_read(step->nodes[0], &out->leveller);
}

static void limiter_process(const ae_step_context *context, const ae_step *step)
{
    ae_limiter_process(step->nodes[0], input_rows(context, step), output_rows(context, step));
}

static void limiter_reset(const ae_step *step, int channels)
{
    (void)channels;
    ae_limiter_reset(step->nodes[0]);
}

static int limiter_latency(const ae_step *step)
{
    return ae_limiter_latency_frames(step->nodes[0]);
}

static void limiter_read(const ae_step *step, ae_step_report *out)
{
    ae_limiter_read(step->nodes[0], &out->limiter);
}

static void loudness_process(const ae_step_context *context, const ae_step *step)
{
    ae_loudness_process(step->nodes[0], input_rows(context, step), context->block_frames);
}

static void loudness_reset(const ae_step *step, int channels)
{
    (void)channels;
    ae_loudness_reset(step->nodes[0]);
}

static void loudness_read(const ae_step *step, ae_step_report *out)
{
    ae_loudness_read(step->nodes[0], &out->loudness);
}

static void sync_delay_process(const ae_step_context *context, const ae_step *step)
{
    const float probability =
        step->source_step >= 0 ? context->reports[step->source_step].suppressor.speech_probability
                               : -1.0f;
    ae_sync_delay_process(step->nodes[0], input_rows(context, step), probability,
                          output_rows(context, step));
}

static void sync_delay_reset(const ae_step *step, int channels)
{
    (void)channels;
    ae_sync_delay_reset(step->nodes[0]);
}

static int sync_delay_latency(const ae_step *step)
{
    return ae_sync_delay_latency_frames(step->nodes[0]);
}

static int sync_delay_frames(const ae_step *step, int most)
{
    return most ? ae_sync_delay_most_frames(step->nodes[0])
                : ae_sync_delay_delay_frames(step->nodes[0]);
}

static void sync_delay_read(const ae_step *step, ae_step_report *out)
{
    ae_sync_delay_read(step->nodes[0], &out->sync_delay);
}

static void sync_delay_take_over(const ae_step *step, const ae_step *old)
{
    ae_sync_delay_take_over(step->nodes[0], old->nodes[0]);
}

static void sync_delay_blend(const ae_step *step, const ae_step *old, float share)
{
    ae_sync_delay_blend_newest(step->nodes[0], old->nodes[0], 0.0f, share);
}

/* The nets go first: they cost most, and what they leave is still cleaned. Then the meters, which
 * nobody hears. Then the gain stands still, then noise and residual echo stay. The echo filter is
 * never shed: it is what keeps a room from howling. */
static const ae_step_verbs k_verbs[] = {
    [AE_STEP_HIGHPASS] = {.process = highpass_process,
                          .reset = highpass_reset,
                          .latency_frames = no_latency,
                          .read = read_nothing,
                          .has_switch = 1},
    [AE_STEP_ECHO] = {.process = echo_process,
                      .reset = echo_reset,
                      .latency_frames = no_latency,
                      .read = echo_read,
                      .has_switch = 1},
    [AE_STEP_SUPPRESSOR] = {.process = suppressor_process,
                            .reset = suppressor_reset,
                            .latency_frames = suppressor_latency,
                            .read = suppressor_read,
                            .ease = suppressor_ease,
                            .eases = suppressor_eases,
                            .has_switch = 1,
                            .shed_level = AE_SHED_SUPPRESSOR,
                            .warm_up_blocks = 5}, /* window of 3.2 blocks, overlap of 2 */
    [AE_STEP_LEVELLER] = {.process = leveller_process,
                          .reset = leveller_reset,
                          .latency_frames = no_latency,
                          .read = leveller_read,
                          .hold = leveller_hold,
                          .has_switch = 1,
                          .shed_level = AE_SHED_LEVELLER},
    [AE_STEP_LIMITER] = {.process = limiter_process,
                         .reset = limiter_reset,
                         .latency_frames = limiter_latency,
                         .read = limiter_read},
    [AE_STEP_LOUDNESS] = {.process = loudness_process,
                          .reset = loudness_reset,
                          .latency_frames = no_latency,
                          .read = loudness_read,
                          .shed_level = AE_SHED_METERS},
    [AE_STEP_SYNC_DELAY] = {.process = sync_delay_process,
                            .reset = sync_delay_reset,
                            .latency_frames = sync_delay_latency,
                            .read = sync_delay_read,
                            .delay_frames = sync_delay_frames,
                            .take_over = sync_delay_take_over,
                            .blend = sync_delay_blend},
};

const ae_step_verbs *ae_step_verbs_of(int kind)
{
    const int count = (int)(sizeof k_verbs / sizeof k_verbs[0]);
    return kind >= 0 && kind < count ? &k_verbs[kind] : NULL;
}

static void set_suppressor(ae_suppressor *node, int parameter, float value)
{
    if (value != value) return;
    if (parameter == AE_PARAMETER_ATTENUATION_LIMIT_DB) {
        ae_suppressor_set_attenuation_limit_db(node, value);
    } else if (parameter == AE_PARAMETER_DEREVERB) {
        ae_suppressor_set_dereverb(node, value);
    } else if (parameter == AE_PARAMETER_TRANSIENTS) {
        ae_suppressor_set_transients(node, value >= 0.5f);
    } else if (parameter == AE_PARAMETER_MUSIC_GUARD) {
        ae_suppressor_set_music_guard(node, value >= 0.5f);
    } else if (parameter == AE_PARAMETER_UNAIDED_LIMIT_DB) {
        ae_suppressor_set_unaided_limit_db(node, value);
    } else if (parameter == AE_PARAMETER_TIER) {
        ae_suppressor_set_tier(node, (int)(ae_clamp(value, 0.0f, 2.0f) + 0.5f));
    }
}

void ae_step_apply(const ae_step *step, const ae_command *command)
{
    void *node = step->nodes[0];
    const float value = command->value;
    if (step->kind == AE_STEP_HIGHPASS && command->parameter == AE_PARAMETER_CUTOFF_HZ) {
        ae_highpass_set_cutoff_hz(node, value);
    } else if (step->kind == AE_STEP_SUPPRESSOR) {
        const int count = ae_step_node_count(step);
        for (int c = 0; c < count; c++) set_suppressor(step->nodes[c], command->parameter, value);
    } else if (step->kind == AE_STEP_LEVELLER && command->parameter == AE_PARAMETER_TARGET_LUFS) {
        ae_leveller_set_target_lufs(node, value);
    } else if (step->kind == AE_STEP_LIMITER && command->parameter == AE_PARAMETER_CEILING_DBTP) {
        ae_limiter_set_ceiling_dbtp(node, value);
    } else if (step->kind == AE_STEP_SYNC_DELAY && command->parameter == AE_PARAMETER_DELAY_MS) {
        ae_sync_delay_set_delay_ms(node, value);
    }
}
