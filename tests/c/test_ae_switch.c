/* Truths: a stage that is switched off is a wire of its latency; on, it gives what its kernel gives
 * alone, bit for bit; a fade has no jump that neither side has. Shed: the leveller's gain stands
 * still, the suppressor is a wire and comes back without a trace of what was before, the echo
 * filter runs on. All through a graph of one step. */
#include "ae_chain.h"
#include "ae_math.h"
#include "ae_test.h"

enum { k_rate = 48000, k_block = 480 };

static void make_noise(float *to, int count, float level, uint32_t *seed)
{
    for (int n = 0; n < count; n++) to[n] = level * ae_random(seed);
}

/* One kernel in a graph of its own, and the same kernel beside it. */
typedef struct {
    int kind;
    void *inside, *beside;
    ae_graph *graph;
} lone_stage;

static void make_kernel(int kind, void **out)
{
    ae_highpass_config highpass = ae_highpass_default_config(k_rate);
    ae_echo_filter_config echo = ae_echo_filter_default_config(k_rate);
    ae_suppressor_config suppressor = ae_suppressor_default_config(k_rate);
    ae_leveller_config leveller = ae_leveller_default_config(k_rate);
    ae_status status = AE_ERROR_ARGUMENT;
    highpass.cutoff_hz = 300.0f;
    if (kind == AE_STEP_HIGHPASS) status = ae_highpass_create((ae_highpass **)out, &highpass);
    if (kind == AE_STEP_ECHO) status = ae_echo_filter_create((ae_echo_filter **)out, &echo);
    if (kind == AE_STEP_SUPPRESSOR) {
        status = ae_suppressor_create((ae_suppressor **)out, &suppressor);
    }
    if (kind == AE_STEP_LEVELLER) status = ae_leveller_create((ae_leveller **)out, &leveller);
    CHECK(status == AE_OK);
}

static void free_kernel(int kind, void *kernel)
{
    if (kind == AE_STEP_HIGHPASS) ae_highpass_destroy(kernel);
    if (kind == AE_STEP_ECHO) ae_echo_filter_destroy(kernel);
    if (kind == AE_STEP_SUPPRESSOR) ae_suppressor_destroy(kernel);
    if (kind == AE_STEP_LEVELLER) ae_leveller_destroy(kernel);
}

static void run_kernel(const lone_stage *stage, const float *in, const float *far, float *out)
{
    const float *ins[] = {in};
    float *outs[] = {out};
    if (stage->kind == AE_STEP_HIGHPASS) ae_highpass_process(stage->beside, ins, outs);
    if (stage->kind == AE_STEP_ECHO) ae_echo_filter_process(stage->beside, in, &far, out);
    if (stage->kind == AE_STEP_SUPPRESSOR) ae_suppressor_process(stage->beside, ins, NULL, outs);
    if (stage->kind == AE_STEP_LEVELLER) ae_leveller_process(stage->beside, ins, -1.0f, outs);
}

static ae_graph *plan_of_one(int kind, void *kernel)
{
    const int channels[] = {1, 1}, inputs[] = {0, 1}, outputs[] = {0};
    const ae_step step = {kind, 0, kind == AE_STEP_ECHO ? 1 : -1, 0, -1, {kernel}};
    const ae_graph_config config = {k_rate, 2, channels, 2, inputs, 1, outputs, 1, &step};
    ae_graph *graph;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    return graph;
}

static lone_stage make_stage(int kind)
{
    lone_stage stage = {.kind = kind};
    make_kernel(kind, &stage.inside);
    make_kernel(kind, &stage.beside);
    stage.graph = plan_of_one(kind, stage.inside);
    return stage;
}

static void free_stage(lone_stage *stage)
{
    ae_graph_destroy(stage->graph);
    free_kernel(stage->kind, stage->inside);
    free_kernel(stage->kind, stage->beside);
}

/* A steady voice-like tone with its echo of a far end: block `index` of it. */
static void make_room(float *mic, float *far, int index)
{
    uint32_t seed = 77u + (uint32_t)index;
    for (int n = 0; n < k_block; n++) {
        const float t = (float)((index * k_block + n) % k_rate) / (float)k_rate;
        far[n] = 0.05f * ae_random(&seed);
        mic[n] = 0.03f * sinf(2.0f * k_ae_pi * 200.0f * t) + 0.5f * far[n];
    }
}

static float largest_jump(const float *x, float before, int count)
{
    float jump = 0.0f;
    for (int n = 0; n < count; n++) {
        jump = fmaxf(jump, fabsf(x[n] - before));
        before = x[n];
    }
    return jump;
}

static void post(ae_graph *graph, int step, int parameter, float value)
{
    const ae_command command = {step, parameter, value};
    CHECK(ae_graph_post(graph, &command) == AE_OK);
}

/* off: exactly the delayed input; on: exactly the kernel; between: no jump that neither has. */
static void toggle(lone_stage *stage, int latency)
{
    enum { k_off = 150, k_on = 170, k_end = 190 };
    float in[2 * k_block] = {0}, far[k_block], wet[k_block], out[k_block];
    float last_out = 0.0f, last_wet = 0.0f, last_dry = 0.0f;
    const uint64_t allocations = ae_allocation_count();
    for (int b = 0; b < k_end; b++) {
        if (b == k_off) post(stage->graph, 0, AE_PARAMETER_ACTIVE, 0.0f);
        if (b == k_on) post(stage->graph, 0, AE_PARAMETER_ACTIVE, 1.0f);
        ae_copy(in, in + k_block, k_block);
        make_room(in + k_block, far, b);
        const float *ins[] = {in + k_block, far}, *dry = in + k_block - latency;
        float *outs[] = {out};
        ae_graph_process(stage->graph, ins, outs);
        run_kernel(stage, in + k_block, far, wet);
        const int off = b > k_off && b < k_on;
        if (b == k_off || b == k_on) {
            float apart = 0.0f;
            for (int n = 0; n < k_block; n++) apart = fmaxf(apart, fabsf(wet[n] - dry[n]));
            CHECK(apart > 0.002f); /* there is something to fade */
            const float allowed =
                fmaxf(largest_jump(wet, last_wet, k_block), largest_jump(dry, last_dry, k_block));
            CHECK(largest_jump(out, last_out, k_block) <= allowed + 1.01f * apart / k_block);
        } else {
            CHECK(memcmp(out, off ? dry : wet, sizeof out) == 0);
        }
        last_out = out[k_block - 1];
        last_wet = wet[k_block - 1];
        last_dry = dry[k_block - 1];
    }
    CHECK(ae_allocation_count() == allocations);
}

static void test_switches_fade_and_come_back_exactly(void)
{
    const int kinds[] = {AE_STEP_HIGHPASS, AE_STEP_ECHO, AE_STEP_SUPPRESSOR, AE_STEP_LEVELLER};
    for (int i = 0; i < 4; i++) {
        lone_stage stage = make_stage(kinds[i]);
        toggle(&stage, ae_graph_latency_frames(stage.graph));
        ae_graph_reset(stage.graph);
        free_stage(&stage);
    }
}

/* Energy of the last of `blocks` blocks in which the microphone hears nothing but echo. */
static double echo_left(ae_graph *graph, int blocks, uint32_t *seed)
{
    float far[k_block], mic[k_block], out[k_block];
    const float *in[] = {mic, far};
    float *outs[] = {out};
    for (int b = 0; b < blocks; b++) {
        make_noise(far, k_block, 0.2f, seed);
        for (int n = 0; n < k_block; n++) mic[n] = 0.3f * far[n];
        ae_graph_process(graph, in, outs);
    }
    return 10.0 * log10((double)ae_energy(out, k_block) / (double)ae_energy(mic, k_block) + 1e-12);
}

static void test_echo_switched_off_is_heard_and_gone_again_at_once(void)
{
    ae_chain chain;
    CHECK(ae_chain_create(&chain, k_rate, 1) == 0);
    uint32_t seed = 9;
    post(chain.graph, 2, AE_PARAMETER_ATTENUATION_LIMIT_DB, 0.0f);
    post(chain.graph, 2, AE_PARAMETER_DEREVERB, 0.0f);
    post(chain.graph, 3, AE_PARAMETER_ACTIVE, 0.0f);
    CHECK(echo_left(chain.graph, 300, &seed) < -40.0); /* noise left alone: echo still goes */
    post(chain.graph, 1, AE_PARAMETER_ACTIVE, 0.0f);
    CHECK_NEAR(echo_left(chain.graph, 5, &seed), 0.0, 1.0);
    CHECK_NEAR(echo_left(chain.graph, 200, &seed), 0.0, 1.0);
    post(chain.graph, 1, AE_PARAMETER_ACTIVE, 1.0f);
    CHECK(echo_left(chain.graph, 10, &seed) < -30.0); /* the filter has listened meanwhile */
    ae_chain_destroy(&chain);
}

/* ---- shedding ---- */

static void test_shed_leveller_holds_its_gain(void)
{
    lone_stage stage = make_stage(AE_STEP_LEVELLER);
    float mic[k_block], far[k_block], out[k_block], last = 0.0f, gain = 0.0f;
    const float *ins[] = {mic, far};
    float *outs[] = {out};
    for (int b = 0; b < 300; b++) {
        if (b == 120) ae_graph_set_shed(stage.graph, AE_SHED_LEVELLER);
        if (b == 200) ae_graph_set_shed(stage.graph, -5); /* clamped to 0 */
        make_room(mic, far, b);
        ae_graph_process(stage.graph, ins, outs);
        if (b == 119) {
            ae_leveller_report report;
            ae_leveller_read(stage.inside, &report);
            gain = ae_amplitude_from_db(report.gain_db);
            CHECK(fabsf(gain - 1.0f) > 0.1f); /* on its way to the target */
        }
        for (int n = 0; n < k_block && b >= 120 && b < 200; n++) CHECK(out[n] == gain * mic[n]);
        if (b == 120 || b == 200) {
            const float own = largest_jump(mic, mic[0], k_block);
            CHECK(largest_jump(out, last, k_block) < 1.1f * gain * own + 0.02f);
        }
        last = out[k_block - 1];
    }
    free_stage(&stage);
}

/* Loud noise, shed, silence, back: the delayed input meanwhile, and nothing old afterwards. */
static void test_shed_suppressor_passes_on_and_restarts_cleanly(void)
{
    lone_stage stage = make_stage(AE_STEP_SUPPRESSOR);
    float in[2 * k_block] = {0}, out[k_block];
    const float *ins[] = {in + k_block, NULL};
    float *outs[] = {out};
    uint32_t seed = 6;
    for (int b = 0; b < 220; b++) {
        if (b == 100) ae_graph_set_shed(stage.graph, 99); /* clamped to the deepest */
        if (b == 140) ae_graph_set_shed(stage.graph, 0);
        ae_copy(in, in + k_block, k_block);
        make_noise(in + k_block, k_block, b < 120 ? 0.3f : b < 180 ? 0.0f : 0.001f, &seed);
        ae_graph_process(stage.graph, ins, outs);
        if (b > 100 && b < 140) CHECK(memcmp(out, in, sizeof out) == 0);
        if (b > 120 && b < 180) CHECK(ae_energy(out, k_block) == 0.0f);
        if (b > 190) CHECK(ae_energy(out, k_block) < 0.5f * ae_energy(in, k_block)); /* at work */
    }
    free_stage(&stage);
}

static void test_the_echo_filter_is_never_shed(void)
{
    lone_stage stage = make_stage(AE_STEP_ECHO);
    float mic[k_block], far[k_block], wet[k_block], out[k_block];
    const float *ins[] = {mic, far};
    float *outs[] = {out};
    ae_graph_set_shed(stage.graph, AE_SHED_SUPPRESSOR);
    for (int b = 0; b < 50; b++) {
        make_room(mic, far, b);
        ae_graph_process(stage.graph, ins, outs);
        run_kernel(&stage, mic, far, wet);
        CHECK(memcmp(out, wet, sizeof out) == 0);
    }
    free_stage(&stage);
}

/* The old graph had its suppressor switched off; in the next one it is on: fade, do not jump. */
static void test_a_switch_taken_over_fades(void)
{
    lone_stage stage = make_stage(AE_STEP_SUPPRESSOR);
    ae_graph *next = plan_of_one(AE_STEP_SUPPRESSOR, stage.inside);
    float in[2 * k_block] = {0}, far[k_block], wet[k_block], out[k_block];
    const float *ins[] = {in + k_block, NULL};
    float *outs[] = {out};
    post(stage.graph, 0, AE_PARAMETER_ACTIVE, 0.0f);
    for (int b = 0; b < 100; b++) {
        ae_copy(in, in + k_block, k_block);
        make_room(in + k_block, far, b);
        if (b == 60) ae_graph_take_over(next, stage.graph);
        ae_graph_process(b < 60 ? stage.graph : next, ins, outs);
        run_kernel(&stage, in + k_block, NULL, wet);
        for (int n = 0; n < k_block && b == 60; n++) {
            const float share = (float)(n + 1) / k_block;
            CHECK_NEAR(out[n], (1.0f - share) * in[n] + share * wet[n], 1e-6);
        }
        if (b > 60) CHECK(memcmp(out, wet, sizeof out) == 0);
    }
    ae_graph_destroy(next);
    free_stage(&stage);
}

int main(void)
{
    test_switches_fade_and_come_back_exactly();
    test_echo_switched_off_is_heard_and_gone_again_at_once();
    test_shed_leveller_holds_its_gain();
    test_shed_suppressor_passes_on_and_restarts_cleanly();
    test_the_echo_filter_is_never_shed();
    test_a_switch_taken_over_fades();
    return AE_TEST_RESULT();
}
