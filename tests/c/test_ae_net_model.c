/* Truth: what was written to the file. */
#include "ae_net_model.h"

#include "ae_net_file.h"
#include "ae_test.h"

static net_file file;
static const net_recipe k_recipe = {
    .channels = 8, .full = 16, .layers = 2, .size = 1.0f, .seed = 7};

static int is_refused(const void *bytes, size_t count)
{
    ae_net_model *model = (ae_net_model *)&file;
    const uint64_t allocations = ae_allocation_count();
    return ae_net_model_create(&model, bytes, count) == AE_ERROR_ARGUMENT && model == NULL &&
           ae_allocation_count() == allocations;
}

static float float_at(size_t at)
{
    float value;
    memcpy(&value, file.bytes + at, sizeof value);
    return value;
}

static void test_it_holds_what_was_written(void)
{
    write_net_file(&file, k_recipe);
    ae_net_model *model = NULL;
    CHECK(ae_net_model_create(&model, file.bytes, file.count) == AE_OK);
    ae_net_shape shape;
    ae_net_model_read(model, &shape);
    CHECK(shape.singles == 64 && shape.channels == 8 && shape.full == 16 && shape.layers == 2);
    CHECK(shape.taps == 3 && shape.aside == 3);
    CHECK(memcmp(&shape, ae_net_model_shape(model), sizeof shape) == 0);
    const ae_net_weights *weights = ae_net_model_weights(model);
    size_t at = 40;
    for (int i = 0; i < 25 * 8; i++, at += 4) CHECK(weights->place[i] == float_at(at));
    for (int i = 0; i < 8; i++, at += 4) CHECK(weights->up2_bias[i] == float_at(at));
    for (int i = 0; i < 100; i++, at += 4) CHECK(weights->bias[i] == float_at(at));
    for (int o = 0; o < 8; o++)
        for (int i = 0; i < 28; i++) {
            const float number = (float)(int8_t)file.bytes[at + 32 + (size_t)(o * 28 + i)];
            CHECK(weights->down1.weights[i * 8 + o] == float_at(at + (size_t)(4 * o)) * number);
        }
    /* From behind: the voice's bias and row, then the hash. */
    CHECK(weights->voice.bias[0] == float_at(file.count - 36));
    for (int i = 0; i < 16; i++) {
        const float number = (float)(int8_t)file.bytes[file.count - 52 + (size_t)i];
        CHECK(weights->voice.weights[i * 8] == float_at(file.count - 56) * number);
        CHECK(weights->voice.weights[i * 8 + 1] == 0.0f);
    }
    ae_net_model_destroy(model);
    ae_net_model_destroy(NULL);
}

/* The first wide matrix lies behind the two dense ones and the first recurrent layer. */
static void test_wide_weights_are_where_their_index_says(void)
{
    write_net_file(&file, k_recipe);
    ae_net_model *model = NULL;
    CHECK(ae_net_model_create(&model, file.bytes, file.count) == AE_OK);
    const ae_net_wide *gather = &ae_net_model_weights(model)->layers[0].gather;
    const size_t at = 40 + 4 * (25 * 8 + 8 + 100) + (32 + 8 * 28 + 32) + (32 + 8 * 32 + 32) +
                      2 * (4 * 24 + 24 * 8) + 2 * 4 * 24;
    CHECK(gather->inputs == 200 && gather->outputs == 16);
    for (int o = 0; o < 16; o++) {
        CHECK(gather->scale[o] == float_at(at + (size_t)(4 * o)));
        for (int i = 0; i < 200; i++)
            CHECK(ae_net_wide_number(gather, o, i) ==
                  (float)(int8_t)file.bytes[at + 64 + (size_t)(o * 200 + i)]);
    }
    ae_net_model_destroy(model);
}

static void test_other_files_are_refused(void)
{
    write_net_file(&file, k_recipe);
    const size_t count = file.count;
    CHECK(is_refused(NULL, 0));
    for (size_t less = 1; less < count; less += less < 100 ? 1 : 997)
        CHECK(is_refused(file.bytes, count - less));
    CHECK(is_refused(file.bytes, 0));
    CHECK(is_refused(file.bytes, count + 4));
    for (int at = 0; at < 40; at++) { /* every byte of the header counts */
        write_net_file(&file, k_recipe);
        file.bytes[at] ^= 1;
        CHECK(is_refused(file.bytes, count));
        file.bytes[at] ^= 0x81;
        CHECK(is_refused(file.bytes, count));
    }
}

static void test_other_shapes_are_refused(void)
{
    static const int bad[][3] = {{12, 16, 1}, {0, 16, 1},  {72, 16, 1}, {8, 12, 1}, {8, 0, 1},
                                 {8, 264, 1}, {-8, 16, 1}, {8, -16, 1}, {8, 16, 0}, {8, 16, -1}};
    for (int n = 0; n < 10; n++) {
        write_net_file(&file, k_recipe);
        for (int i = 0; i < 3; i++) memcpy(file.bytes + 16 + 4 * i, &bad[n][i], 4);
        CHECK(is_refused(file.bytes, file.count));
    }
    net_recipe recipe = k_recipe;
    recipe.layers = AE_NET_MOST_LAYERS + 1;
    write_net_file(&file, recipe);
    CHECK(is_refused(file.bytes, file.count));
}

static void test_numbers_that_are_none_are_refused(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    static const size_t floats[] = {40, 40 + 4 * 200, 40 + 4 * 208, 40 + 4 * 308};
    for (int n = 0; n < 4; n++)
        for (int at = 0; at < 5; at++) {
            write_net_file(&file, k_recipe);
            memcpy(file.bytes + (at < 4 ? floats[at] : file.count - 36), &bad[n], 4);
            CHECK(is_refused(file.bytes, file.count));
        }
    const float negative = -1.0f; /* a scale */
    write_net_file(&file, k_recipe);
    memcpy(file.bytes + floats[3], &negative, 4);
    CHECK(is_refused(file.bytes, file.count));
}

int main(void)
{
    test_it_holds_what_was_written();
    test_wide_weights_are_where_their_index_says();
    test_other_files_are_refused();
    test_other_shapes_are_refused();
    test_numbers_that_are_none_are_refused();
    return AE_TEST_RESULT();
}
