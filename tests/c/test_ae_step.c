/* Truths: a step gives what its kernel gives alone; a far end of several channels is mixed for the
 * filter, to as many as it takes, and left alone for others; one suppressor per channel gives what
 * each gives alone; commands reach their kernels and nothing else; nets go before all else under
 * load, and come back, with no jump that the signal has not. */
#include "ae_graph.h"
#include "ae_math.h"
#include "ae_net_file.h"
#include "ae_test.h"

#include <string.h>

enum { k_rate = 48000, k_block = 480 };

static void make_noise(float *to, int count, float level, uint32_t *seed)
{
    for (int n = 0; n < count; n++) to[n] = level * ae_random(seed);
}

static void test_graph_equals_the_kernel(void)
{
    ae_limiter *inside, *beside;
    const ae_limiter_config limiter_config = ae_limiter_default_config(k_rate);
    CHECK(ae_limiter_create(&inside, &limiter_config) == AE_OK);
    CHECK(ae_limiter_create(&beside, &limiter_config) == AE_OK);
    const int channels[] = {1}, buses[] = {0};
    const ae_step step = {AE_STEP_LIMITER, 0, -1, 0, -1, {inside}};
    const ae_graph_config config = {k_rate, 1, channels, 1, buses, 1, buses, 1, &step};
    ae_graph *graph;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    CHECK(ae_graph_latency_frames(graph) == ae_limiter_latency_frames(beside));
    uint32_t seed = 3;
    for (int b = 0; b < 20; b++) {
        float x[k_block], y[k_block], z[k_block];
        make_noise(x, k_block, 2.0f, &seed);
        const float *in[] = {x};
        float *out[] = {y}, *expected[] = {z};
        ae_graph_process(graph, in, out);
        ae_limiter_process(beside, in, expected);
        CHECK(memcmp(y, z, sizeof y) == 0);
    }
    ae_graph_destroy(graph);
    ae_limiter_destroy(inside);
    ae_limiter_destroy(beside);
}

/* A command reaches the lip-sync delay, and a speech probability keeps it from jumping: the second
 * step stands for a suppressor, whose report says what the test wants. */
static void test_sync_delay_step(void)
{
    ae_sync_delay *inside, *beside;
    const ae_sync_delay_config delay_config = ae_sync_delay_default_config(k_rate);
    CHECK(ae_sync_delay_create(&inside, &delay_config) == AE_OK);
    CHECK(ae_sync_delay_create(&beside, &delay_config) == AE_OK);
    const ae_step step = {AE_STEP_SYNC_DELAY, 0, -1, 0, 1, {inside}};
    const ae_step_verbs *verbs = ae_step_verbs_of(AE_STEP_SYNC_DELAY);
    CHECK(!verbs->has_switch && verbs->shed_level == 0);
    CHECK(verbs->latency_frames(&step) == ae_sync_delay_latency_frames(beside));
    const ae_command command = {0, AE_PARAMETER_DELAY_MS, 400.0f};
    ae_step_apply(&step, &command);
    ae_sync_delay_set_delay_ms(beside, 400.0f);
    float x[k_block] = {0.0f}, y[k_block], z[k_block];
    ae_bus bus = {1, {x}};
    ae_step_report reports[2] = {0}, read;
    const ae_step_context context = {.block_frames = k_block, .buses = &bus, .reports = reports};
    uint32_t seed = 3;
    for (int b = 0; b < 100; b++) {
        const float *in[] = {y};
        float *out[] = {z};
        reports[1].suppressor.speech_probability = b < 50 ? 1.0f : 0.0f;
        make_noise(y, k_block, 1e-4f, &seed);
        memcpy(x, y, sizeof x);
        verbs->process(&context, &step);
        ae_sync_delay_process(beside, in, b < 50 ? 1.0f : 0.0f, out);
        CHECK(memcmp(x, z, sizeof x) == 0);
        verbs->read(&step, &read);
        CHECK(b >= 50 || read.sync_delay.jump_count == 0);
    }
    CHECK(read.sync_delay.jump_count > 0 && read.sync_delay.target_ms == 400.0f);
    verbs->reset(&step, 1);
    verbs->read(&step, &read);
    CHECK(read.sync_delay.delay_ms == 400.0f);
    ae_sync_delay_destroy(inside);
    ae_sync_delay_destroy(beside);
}

static void test_stereo_far_end_is_averaged_and_left_alone(void)
{
    ae_echo_filter *filter;
    const ae_echo_filter_config echo = ae_echo_filter_default_config(k_rate);
    CHECK(ae_echo_filter_create(&filter, &echo) == AE_OK);
    const int channels[] = {1, 2, 1}, inputs[] = {0, 1}, outputs[] = {2, 1};
    const ae_step step = {AE_STEP_ECHO, 0, 1, 2, -1, {filter}};
    const ae_graph_config config = {k_rate, 3, channels, 2, inputs, 2, outputs, 1, &step};
    ae_graph *graph;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    uint32_t seed = 21;
    double before = 0.0, after = 0.0;
    for (int b = 0; b < 200; b++) {
        float mic[k_block], left[k_block], right[k_block], out[k_block], far[2][k_block];
        make_noise(left, k_block, 0.3f, &seed);
        make_noise(right, k_block, 0.3f, &seed);
        for (int n = 0; n < k_block; n++) mic[n] = 0.4f * (left[n] + right[n]);
        const float *in[] = {mic, left, right};
        float *outs[] = {out, far[0], far[1]};
        ae_graph_process(graph, in, outs);
        CHECK(memcmp(far[0], left, sizeof left) == 0 && memcmp(far[1], right, sizeof right) == 0);
        if (b >= 150) {
            before += (double)ae_energy(mic, k_block);
            after += (double)ae_energy(out, k_block);
        }
    }
    CHECK(10.0 * log10(before / after) > 20.0);
    ae_graph_destroy(graph);
    ae_echo_filter_destroy(filter);
}

/* A filter of two references behind a far bus of 1 .. 5 channels: what the kernel gives alone with
 * the mean of the even and that of the odd channels; one channel is both. */
static void test_two_references_are_the_even_and_the_odd_channels(void)
{
    for (int far_channels = 1; far_channels <= 5; far_channels++) {
        ae_echo_filter *inside, *beside;
        ae_echo_filter_config echo = ae_echo_filter_default_config(k_rate);
        echo.far_channels = 2;
        CHECK(ae_echo_filter_create(&inside, &echo) == AE_OK);
        CHECK(ae_echo_filter_create(&beside, &echo) == AE_OK);
        const int channels[] = {1, far_channels}, inputs[] = {0, 1}, outputs[] = {0};
        const ae_step step = {AE_STEP_ECHO, 0, 1, 0, -1, {inside}};
        const ae_graph_config config = {k_rate, 2, channels, 2, inputs, 1, outputs, 1, &step};
        ae_graph *graph;
        CHECK(ae_graph_create(&graph, &config) == AE_OK);
        uint32_t seed = 21;
        for (int b = 0; b < 60; b++) {
            float mic[k_block], far[5][k_block], side[2][k_block], out[k_block], alone[k_block];
            const float *in[6] = {mic}, *sides[2] = {side[0], side[1]};
            float *outs[] = {out};
            for (int c = 0; c < far_channels; c++) make_noise(far[c], k_block, 0.3f, &seed);
            for (int c = 0; c < far_channels; c++) in[1 + c] = far[c];
            for (int n = 0; n < k_block; n++) {
                float sum[2] = {0.0f, 0.0f};
                for (int c = 0; c < far_channels; c++) sum[c % 2] += far[c][n];
                side[0][n] = sum[0] / (float)((far_channels + 1) / 2);
                side[1][n] = far_channels > 1 ? sum[1] / (float)(far_channels / 2) : side[0][n];
                mic[n] = 0.4f * side[0][n] - 0.2f * side[1][n];
            }
            ae_graph_process(graph, in, outs);
            ae_echo_filter_process(beside, mic, sides, alone);
            for (int n = 0; n < k_block; n++) CHECK_NEAR(out[n], alone[n], 1e-4);
        }
        ae_graph_destroy(graph);
        ae_echo_filter_destroy(inside);
        ae_echo_filter_destroy(beside);
    }
}

static void test_commands_reach_their_kernel_only(void)
{
    ae_highpass *highpass;
    const ae_highpass_config config = ae_highpass_default_config(k_rate);
    CHECK(ae_highpass_create(&highpass, &config) == AE_OK);
    const ae_step step = {AE_STEP_HIGHPASS, 0, -1, 0, -1, {highpass}};
    const ae_command foreign = {0, AE_PARAMETER_CEILING_DBTP, -20.0f};
    const ae_command own = {0, AE_PARAMETER_CUTOFF_HZ, 300.0f};
    double power[3] = {0};
    for (int phase = 0; phase < 3; phase++) {
        if (phase == 1) ae_step_apply(&step, &foreign);
        if (phase == 2) ae_step_apply(&step, &own);
        for (int b = 0; b < 100; b++) {
            float tone[k_block];
            for (int n = 0; n < k_block; n++) {
                tone[n] = sinf(2.0f * k_ae_pi * 100.0f * (float)(b * k_block + n) / (float)k_rate);
            }
            const float *in[] = {tone};
            float *out[] = {tone};
            ae_highpass_process(highpass, in, out);
            if (b >= 50) power[phase] += (double)ae_energy(tone, k_block);
        }
    }
    CHECK_NEAR(10.0 * log10(power[1] / power[0]), 0.0, 0.01);
    CHECK(10.0 * log10(power[2] / power[0]) < -20.0);
    CHECK(ae_step_verbs_of(-1) == NULL && ae_step_verbs_of(AE_STEP_SYNC_DELAY + 1) == NULL);
    ae_highpass_destroy(highpass);
}

static ae_suppressor *make_suppressor(int echo, int first_channel)
{
    ae_suppressor_config config = ae_suppressor_default_config(k_rate);
    config.echo = echo;
    config.first_channel = first_channel;
    ae_suppressor *self;
    CHECK(ae_suppressor_create(&self, &config) == AE_OK);
    return self;
}

static ae_echo_filter *make_filter(void)
{
    const ae_echo_filter_config config = ae_echo_filter_default_config(k_rate);
    ae_echo_filter *self;
    CHECK(ae_echo_filter_create(&self, &config) == AE_OK);
    return self;
}

/* The means and the largest of two reports, worked out anew. */
static void check_joined(const ae_suppressor_report *all, const ae_suppressor_report *a,
                         const ae_suppressor_report *b)
{
    const double noise[] = {pow(10.0, 0.1 * (double)a->noise_level_dbfs),
                            pow(10.0, 0.1 * (double)b->noise_level_dbfs)};
    const double kept = noise[0] * pow(10.0, -0.1 * (double)a->noise_reduction_db) +
                        noise[1] * pow(10.0, -0.1 * (double)b->noise_reduction_db);
    const double echo_kept = 0.5 * (pow(10.0, -0.1 * (double)a->echo_reduction_db) +
                                    pow(10.0, -0.1 * (double)b->echo_reduction_db));
    CHECK_NEAR(all->noise_level_dbfs, 10.0 * log10(0.5 * (noise[0] + noise[1])), 1e-3);
    CHECK_NEAR(all->noise_reduction_db, -10.0 * log10(kept / (noise[0] + noise[1])), 1e-3);
    CHECK_NEAR(all->echo_reduction_db, -10.0 * log10(echo_kept), 1e-3);
    CHECK(all->speech_probability == ae_max(a->speech_probability, b->speech_probability));
    CHECK(all->reverb_time_s == ae_max(a->reverb_time_s, b->reverb_time_s));
    CHECK(all->hum_hz == ae_max(a->hum_hz, b->hum_hz));
    CHECK(all->music == (a->music || b->music));
    CHECK(all->transient_count == a->transient_count + b->transient_count);
    CHECK(all->near_end_presence == ae_max(a->near_end_presence, b->near_end_presence));
}

enum { k_filter, k_suppressor }; /* steps */

/* Two microphones, each with a filter and a suppressor of its own: inside a graph and beside it. */
typedef struct {
    ae_echo_filter *filters[2], *filters_beside[2];
    ae_suppressor *suppressors[2], *suppressors_beside[2];
    ae_graph *graph;
} two_mics;

static two_mics make_two_mics(void)
{
    two_mics self;
    for (int c = 0; c < 2; c++) {
        self.filters[c] = make_filter();
        self.filters_beside[c] = make_filter();
        self.suppressors[c] = make_suppressor(1, c);
        self.suppressors_beside[c] = make_suppressor(1, c);
    }
    const int channels[] = {2, 1}, inputs[] = {0, 1}, outputs[] = {0};
    const ae_step steps[] = {
        {AE_STEP_ECHO, 0, 1, 0, -1, {self.filters[0], self.filters[1]}},
        {AE_STEP_SUPPRESSOR, 0, -1, 0, k_filter, {self.suppressors[0], self.suppressors[1]}}};
    const ae_graph_config config = {k_rate, 2, channels, 2, inputs, 1, outputs, 2, steps};
    CHECK(ae_graph_create(&self.graph, &config) == AE_OK);
    return self;
}

static void destroy_two_mics(two_mics *self)
{
    ae_graph_destroy(self->graph);
    for (int c = 0; c < 2; c++) {
        ae_echo_filter_destroy(self->filters[c]);
        ae_echo_filter_destroy(self->filters_beside[c]);
        ae_suppressor_destroy(self->suppressors[c]);
        ae_suppressor_destroy(self->suppressors_beside[c]);
    }
}

static void change_parameters(two_mics *self)
{
    const ae_command commands[] = {{k_suppressor, AE_PARAMETER_ATTENUATION_LIMIT_DB, 6.0f},
                                   {k_suppressor, AE_PARAMETER_DEREVERB, 0.5f},
                                   {k_suppressor, AE_PARAMETER_TRANSIENTS, 0.0f},
                                   {k_suppressor, AE_PARAMETER_TRANSIENTS, NAN},
                                   {k_suppressor, AE_PARAMETER_MUSIC_GUARD, 1.0f}};
    for (int i = 0; i < 5; i++) CHECK(ae_graph_post(self->graph, &commands[i]) == AE_OK);
    for (int c = 0; c < 2; c++) {
        ae_suppressor_set_attenuation_limit_db(self->suppressors_beside[c], 6.0f);
        ae_suppressor_set_dereverb(self->suppressors_beside[c], 0.5f);
        ae_suppressor_set_transients(self->suppressors_beside[c], 0);
        ae_suppressor_set_music_guard(self->suppressors_beside[c], 1);
    }
}

/* Echo and a tone that comes and goes in the first microphone, noise in the second. */
static void run_block(two_mics *self, int block, uint32_t *seed)
{
    float mic[2][k_block], far[k_block], out[2][k_block], alone[k_block];
    make_noise(far, k_block, 0.2f, seed);
    make_noise(mic[1], k_block, 0.01f, seed);
    for (int n = 0; n < k_block; n++) {
        const float time_s = (float)(block * k_block + n) / (float)k_rate;
        const float tone = block % 50 < 25 ? sinf(2.0f * k_ae_pi * 440.0f * time_s) : 0.0f;
        mic[0][n] = 0.5f * far[n] + 0.1f * tone;
    }
    const float *in[] = {mic[0], mic[1], far}, *reference[] = {far}, *from[] = {alone};
    float *outs[] = {out[0], out[1]}, *to[] = {alone};
    ae_graph_process(self->graph, in, outs);
    const ae_fp_mode mode = ae_fp_enter(); /* as the graph does */
    for (int c = 0; c < 2; c++) {
        ae_echo_filter_process(self->filters_beside[c], mic[c], reference, alone);
        const ae_echo_view *view = ae_echo_filter_view(self->filters_beside[c]);
        ae_suppressor_process(self->suppressors_beside[c], from, &view, to);
        CHECK(memcmp(out[c], alone, sizeof alone) == 0);
    }
    ae_fp_leave(mode);
}

static void test_a_suppressor_per_channel_gives_what_it_gives_alone(void)
{
    two_mics self = make_two_mics();
    CHECK(ae_graph_latency_frames(self.graph) ==
          ae_suppressor_latency_frames(self.suppressors_beside[0]));
    const uint64_t allocations = ae_allocation_count();
    uint32_t seed = 5;
    for (int run = 0; run < 2; run++) { /* parameters outlast a reset */
        for (int b = 0; b < 150; b++) {
            if (b == 75) change_parameters(&self);
            run_block(&self, b, &seed);
        }
        static ae_graph_report report;
        ae_suppressor_report one[2];
        ae_graph_read(self.graph, &report);
        for (int c = 0; c < 2; c++) ae_suppressor_read(self.suppressors_beside[c], &one[c]);
        check_joined(&report.steps[k_suppressor].suppressor, &one[0], &one[1]);
        CHECK(fabsf(one[0].echo_reduction_db - one[1].echo_reduction_db) > 1.0f);
        ae_graph_reset(self.graph);
        for (int c = 0; c < 2; c++) {
            ae_echo_filter_reset(self.filters_beside[c]);
            ae_suppressor_reset(self.suppressors_beside[c]);
        }
    }
    CHECK(ae_allocation_count() == allocations);
    destroy_two_mics(&self);
}

static void test_suppressors_are_one_or_one_per_channel(void)
{
    ae_suppressor *mono = make_suppressor(0, 0);
    const int channels[] = {3}, buses[] = {0};
    for (int count = 0; count <= 4; count++) {
        ae_step step = {AE_STEP_SUPPRESSOR, 0, -1, 0, -1, {NULL}};
        for (int c = 0; c < count; c++) step.nodes[c] = mono;
        CHECK(ae_step_node_count(&step) == count);
        const ae_graph_config config = {k_rate, 1, channels, 1, buses, 1, buses, 1, &step};
        ae_graph *graph;
        const int fits = count == 1 || count == channels[0];
        CHECK(ae_graph_create(&graph, &config) == (fits ? AE_OK : AE_ERROR_ARGUMENT));
        ae_graph_destroy(graph);
    }
    ae_suppressor_destroy(mono);
    ae_suppressor_config unheard = ae_suppressor_default_config(k_rate);
    for (int channel = -1; channel <= AE_MAX_CHANNELS; channel += AE_MAX_CHANNELS + 1) {
        unheard.first_channel = channel;
        CHECK(ae_suppressor_create(&mono, &unheard) == AE_ERROR_ARGUMENT && mono == NULL);
    }
}

/* The leveller behind a suppressor knows what that one found: speech, the noise that is gone, and
 * music. A voice at a probability of 0.6 is lifted, and left alone beside music. */
static void test_the_leveller_hears_of_music(void)
{
    float gain_db[2];
    for (int music = 0; music < 2; music++) {
        ae_leveller *inside, *beside;
        const ae_leveller_config config = ae_leveller_default_config(k_rate);
        CHECK(ae_leveller_create(&inside, &config) == AE_OK);
        CHECK(ae_leveller_create(&beside, &config) == AE_OK);
        float x[k_block], y[k_block], z[k_block];
        ae_bus buses[2] = {{.channels = 1, .rows = {x}}, {.channels = 1, .rows = {y}}};
        ae_step_report reports[1];
        memset(reports, 0, sizeof reports);
        reports[0].suppressor.speech_probability = 0.6f;
        reports[0].suppressor.noise_level_dbfs = -70.0f;
        reports[0].suppressor.music = music;
        const ae_step step = {AE_STEP_LEVELLER, 0, -1, 1, 0, {inside}};
        const ae_step_context context = {
            .block_frames = k_block, .buses = buses, .reports = reports};
        uint32_t seed = 5;
        ae_leveller_set_removed_noise_dbfs(beside, -70.0f);
        ae_leveller_set_music(beside, music);
        for (int b = 0; b < 300; b++) {
            make_noise(x, k_block, b % 25 < 15 ? 0.02f : 0.0005f, &seed);
            const float *in[] = {x};
            float *out[] = {z};
            ae_step_verbs_of(AE_STEP_LEVELLER)->process(&context, &step);
            ae_leveller_process(beside, in, 0.6f, out);
            CHECK(memcmp(y, z, sizeof y) == 0);
        }
        ae_leveller_report report;
        ae_leveller_read(inside, &report);
        gain_db[music] = report.gain_db;
        ae_leveller_destroy(inside);
        ae_leveller_destroy(beside);
    }
    CHECK(gain_db[0] > 6.0f && gain_db[1] <= 0.0f);
}

/* A plan of one suppressor, with the small net, or both. */
typedef struct {
    ae_net_model *small_model, *large_model;
    ae_suppressor *suppressor;
    ae_graph *graph;
} net_plan;

static net_plan make_net_plan(int tier)
{
    net_plan self = {0};
    /* Nets that turn everything down, the large one further: a step from one to the other is
     * heard. */
    self.small_model = make_model((net_recipe){8, 8, 1, 0.0f, -1.0f, 1.0f, 1});
    self.large_model = make_model((net_recipe){16, 8, 1, 0.0f, -2.0f, 1.0f, 2});
    ae_suppressor_config config = ae_suppressor_default_config(k_rate);
    config.attenuation_limit_db = 40.0f;
    config.small_model = tier >= 1 ? self.small_model : NULL;
    config.large_model = tier >= 2 ? self.large_model : NULL;
    config.tier = tier;
    CHECK(ae_suppressor_create(&self.suppressor, &config) == AE_OK);
    const int channels[] = {1}, buses[] = {0};
    const ae_step step = {AE_STEP_SUPPRESSOR, 0, -1, 0, -1, {self.suppressor}};
    const ae_graph_config plan = {k_rate, 1, channels, 1, buses, 1, buses, 1, &step};
    CHECK(ae_graph_create(&self.graph, &plan) == AE_OK);
    return self;
}

static void free_net_plan(net_plan *self)
{
    ae_graph_destroy(self->graph);
    ae_suppressor_destroy(self->suppressor);
    ae_net_model_destroy(self->small_model);
    ae_net_model_destroy(self->large_model);
}

/* Six harmonics that glide about 150 Hz, in syllables, five pauses a second. Returns the largest
 * step from one sample to the next. */
static float make_voice(float *to, int block)
{
    static float last;
    float jump = 0.0f;
    for (int n = 0; n < k_block; n++) {
        const double time_s = (double)(block * k_block + n) / k_rate;
        const double turns = 150.0 * time_s - 8.0 * cos(2.0 * 3.14159265 * time_s);
        const double syllable = fmax(0.0, sin(2.0 * 3.14159265 * 5.0 * time_s));
        double sum = 0.0;
        for (int h = 1; h <= 6; h++) sum += sin(2.0 * 3.14159265 * h * turns + h) / h;
        to[n] = (float)(0.2 * sum * syllable);
        if (block + n > 0) jump = ae_max(jump, fabsf(to[n] - last));
        last = to[n];
    }
    return jump;
}

static int tier_heard(const net_plan *self)
{
    ae_suppressor_report report;
    ae_suppressor_read(self->suppressor, &report);
    return report.net_share == 1.0f ? report.tier : report.net_share == 0.0f ? 0 : -1;
}

/* One second of a voice; returns its energy at the output, and widens the jumps. */
static double run_voice(const net_plan *self, int *block, float *jump_in, float *jump_out)
{
    static float last;
    float x[k_block], y[k_block];
    const float *in[] = {x};
    float *out[] = {y};
    double energy = 0.0;
    for (int b = 0; b < 100; b++, ++*block) {
        *jump_in = ae_max(*jump_in, make_voice(x, *block));
        ae_graph_process(self->graph, in, out);
        for (int n = 0; n < k_block; n++) {
            if (*block + n > 0) *jump_out = ae_max(*jump_out, fabsf(y[n] - last));
            last = y[n];
        }
        if (b >= 75) energy += (double)ae_energy(y, k_block);
    }
    return energy;
}

/* Large, small, none, and back, by load and by command: heard, and without a click. */
static void test_nets_are_shed_first_and_without_a_click(void)
{
    net_plan self = make_net_plan(2);
    CHECK(ae_graph_idle_levels(self.graph) == (1 << AE_SHED_METERS | 1 << AE_SHED_LEVELLER));
    const uint64_t allocations = ae_allocation_count();
    const int levels[] = {
        0, AE_SHED_LARGE_NET, AE_SHED_NETS, AE_SHED_LEVELLER, AE_SHED_LARGE_NET, 0, AE_SHED_NETS,
        0};
    double energy[8];
    float jump_in = 0.0f, jump_out = 0.0f;
    int block = 0;
    for (int i = 0; i < 8; i++) {
        ae_graph_set_shed(self.graph, levels[i]);
        energy[i] = run_voice(&self, &block, &jump_in, &jump_out);
        CHECK(tier_heard(&self) == (levels[i] == 0 ? 2 : levels[i] == 1 ? 1 : 0));
    }
    CHECK(jump_in > 0.01f && jump_out < 1.01f * jump_in);
    CHECK(energy[1] > 2.0 * energy[0] && energy[2] > 2.0 * energy[1]); /* they are heard */
    CHECK_NEAR(energy[4], energy[1], 0.1 * energy[1]);
    CHECK_NEAR(energy[7], energy[0], 0.1 * energy[0]);
    const ae_command commands[] = {{0, AE_PARAMETER_TIER, 1.0f},
                                   {0, AE_PARAMETER_TIER, NAN},
                                   {0, AE_PARAMETER_TIER, 1e30f},
                                   {0, AE_PARAMETER_TIER, -1e30f}};
    const int tiers[] = {1, 1, 2, 0};
    for (int i = 0; i < 4; i++) {
        CHECK(ae_graph_post(self.graph, &commands[i]) == AE_OK);
        run_voice(&self, &block, &jump_in, &jump_out);
        CHECK(tier_heard(&self) == tiers[i]);
    }
    CHECK(jump_out < 1.01f * jump_in);
    CHECK(ae_allocation_count() == allocations);
    free_net_plan(&self);
}

/* What is asked for while time is short is had when it no longer is. */
static void test_load_limits_what_is_set(void)
{
    net_plan self = make_net_plan(2);
    float jump_in = 0.0f, jump_out = 0.0f;
    int block = 0;
    ae_graph_set_shed(self.graph, AE_SHED_LARGE_NET);
    const ae_command small = {0, AE_PARAMETER_TIER, 1.0f}, large = {0, AE_PARAMETER_TIER, 2.0f};
    CHECK(ae_graph_post(self.graph, &small) == AE_OK);
    run_voice(&self, &block, &jump_in, &jump_out);
    CHECK(tier_heard(&self) == 1);
    CHECK(ae_graph_post(self.graph, &large) == AE_OK);
    ae_graph_reset(self.graph); /* the load is still there */
    run_voice(&self, &block, &jump_in, &jump_out);
    CHECK(tier_heard(&self) == 1);
    ae_graph_set_shed(self.graph, 0);
    run_voice(&self, &block, &jump_in, &jump_out);
    CHECK(tier_heard(&self) == 2);
    free_net_plan(&self);
}

/* With fewer nets there are fewer levels; a plan that takes over goes on at the level. */
static void test_levels_are_those_of_the_nets_there_are(void)
{
    const int always = 1 << AE_SHED_METERS | 1 << AE_SHED_LEVELLER;
    net_plan none = make_net_plan(0), small = make_net_plan(1), large = make_net_plan(2);
    CHECK(ae_graph_idle_levels(none.graph) ==
          (always | 1 << AE_SHED_LARGE_NET | 1 << AE_SHED_NETS));
    CHECK(ae_graph_idle_levels(small.graph) == (always | 1 << AE_SHED_LARGE_NET));
    float jump_in = 0.0f, jump_out = 0.0f;
    int block = 0;
    ae_graph_set_shed(none.graph, AE_SHED_NETS);
    ae_graph_take_over(large.graph, none.graph);
    run_voice(&large, &block, &jump_in, &jump_out);
    CHECK(tier_heard(&large) == 0);
    ae_graph_set_shed(large.graph, 0);
    run_voice(&large, &block, &jump_in, &jump_out);
    CHECK(tier_heard(&large) == 2);
    free_net_plan(&none);
    free_net_plan(&small);
    free_net_plan(&large);
}

int main(void)
{
    test_graph_equals_the_kernel();
    test_sync_delay_step();
    test_stereo_far_end_is_averaged_and_left_alone();
    test_two_references_are_the_even_and_the_odd_channels();
    test_commands_reach_their_kernel_only();
    test_a_suppressor_per_channel_gives_what_it_gives_alone();
    test_suppressors_are_one_or_one_per_channel();
    test_the_leveller_hears_of_music();
    test_nets_are_shed_first_and_without_a_click();
    test_load_limits_what_is_set();
    test_levels_are_those_of_the_nets_there_are();
    return AE_TEST_RESULT();
}
