/* SPDX-License-Identifier: Apache-2.0 */
/* common/conf.h with a table of this test: each type, each error and its place. */
#include "common/conf.h"

#include "common/buf.h"
#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct wheel {
	const char *name;
	int spokes;
};

struct car {
	bool electric;
	int seats;
	size_t boot;
	uint32_t delay;
	const char *owner;
	const char *motto;
	mode_t key;
	int colour;
	unsigned extras;
	struct conf_strings drivers;
	struct {
		int power;
	} engine;
	struct wheel *wheels, *spares;
	size_t n_wheels, n_spares;
	struct conf_users users;
};

static const char *const colours[] = {"red", "green", NULL};
static const char *const later_colours[] = {"transparent", NULL};
static const char *const extras[] = {"roof", "radio", "hook", NULL};

static void check_wheel(struct conf *c, void *map)
{
	const struct wheel *w = map;

	if (w->spokes == 13)
		conf_fail(c, &w->spokes, "13 spokes break");
}

static const struct conf_key wheel_keys[] = {
	CONF_KEY("spokes", INT, struct wheel, spokes, .required = true, .min = 1,
		 .max = 100),
};
static const struct conf_table wheel_table =
	CONF_TABLE("the wheel", struct wheel, wheel_keys, check_wheel);

static const struct conf_key engine_keys[] = {
	{.name = "power", .type = CONF_INT, .min = 0, .max = 1000, .def = 75},
};
static const struct conf_table engine_table =
	CONF_TABLE("the engine", int, engine_keys, NULL);

/* An example of a check: wheels and spares together must be an even number. */
static void check_car(struct conf *c, void *map)
{
	const struct car *car = map;

	if ((car->n_wheels + car->n_spares) % 2 != 0)
		conf_fail(c, &car->wheels, "an odd number of wheels");
	if (car->n_wheels == 4 && car->wheels[0].spokes != car->wheels[3].spokes)
		conf_fail(c, &car->wheels[3], "the last wheel is different");
	if (car->electric && car->boot == 4096)
		conf_fail(c, &car->electric, "an electric car has no such boot");
	if (car->seats == 7 && car->owner == NULL)
		conf_fail(c, &car->owner, "7 seats need an owner");
}

static const struct conf_key trim_keys[] = {
	CONF_KEY("leather", BOOL, struct car, electric, .def = true),
};
static const struct conf_table trim_table =
	CONF_TABLE("the trim", struct car, trim_keys, NULL);

static const struct conf_key car_keys[] = {
	CONF_KEY("electric", BOOL, struct car, electric, .def = true),
	CONF_KEY("seats", INT, struct car, seats, .min = 1, .max = 9, .def = 0,
		 .text = "auto"),
	CONF_KEY("boot", SIZE, struct car, boot, .min = 1024, .max = INT64_C(4) << 30,
		 .def = 2048),
	CONF_KEY("delay", MS, struct car, delay, .min = 0, .max = 3600000, .def = 250),
	CONF_KEY("owner", STRING, struct car, owner, .text = NULL),
	CONF_KEY("motto", STRING, struct car, motto, .may_be_empty = true,
		 .text = "vroom", .max = 8),
	CONF_KEY("key", MODE, struct car, key, .def = 0600),
	/* this map begins at offset 0, like the first field */
	{.name = "trim", .type = CONF_MAP, .at = 0, .table = &trim_table},
	CONF_KEY_OF("colour", ENUM, struct car, colour, int, .names = colours,
		    .later = later_colours, .def = 1),
	CONF_KEY("extras", FLAGS, struct car, extras, .names = extras, .min = 0, .max = 3,
		 .def = 4),
	CONF_KEY("drivers", STRINGS, struct car, drivers, .min = 1, .max = 3),
	CONF_KEY("users", USERS, struct car, users, .min = 1, .max = 3),
	{.name = "engine",
	 .type = CONF_MAP,
	 .at = offsetof(struct car, engine),
	 .table = &engine_table},
	CONF_ARRAY_KEY("wheels", LIST, struct car, wheels, n_wheels, struct wheel,
		       .table = &wheel_table, .min = 0, .max = 4),
	CONF_ARRAY_KEY("spares", NAMED, struct car, spares, n_spares, struct wheel,
		       .table = &wheel_table, .min = 0, .max = 4),
};
static const struct conf_foreign foreign[] = {
	{"the car", {"flies"}, "false", NULL},
	{"the car", {"rolls"}, "true", "would be sad"},
	{"the car", {"stickers"}, "", NULL},
	{"the car", {"wings", "propeller"}, NULL, NULL},
	{"the engine", {"fins"}, NULL, "are for nobody"},
	{"the car", {"fins"}, NULL, "are for fish"},
	{0},
};
static const struct conf_table car_table = {
	.what = "the car",
	.size = sizeof(struct car),
	.keys = car_keys,
	.n_keys = ARRAY_LEN(car_keys),
	.check = check_car,
	.foreign = foreign,
};

static struct pool pool;
static struct car car;
static struct conf_error err;

static int parse_named(struct slice text, const char *name,
		       const struct conf_table *table)
{
	void *map = NULL;

	pool_fini(&pool);
	car = (struct car){0};
	int r = conf_parse(text, name, table, &map, &pool, &err);
	assert_true((r == 0) == (map != NULL));
	if (map != NULL)
		car = *(struct car *)map;
	else
		pool_init(&pool);
	return r;
}

static int parse_bytes(struct slice text)
{
	return parse_named(text, "car.yaml", &car_table);
}

static int parse(const char *text)
{
	return parse_bytes(slice_str(text));
}

static int end(void **state)
{
	(void)state;
	pool_fini(&pool);
	return 0;
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("{}"), 0);
	assert_true(car.electric);
	assert_int_equal(car.seats, 0);
	assert_int_equal(car.boot, 2048);
	assert_int_equal(car.delay, 250);
	assert_null(car.owner);
	assert_string_equal(car.motto, "vroom");
	assert_int_equal(car.key, 0600);
	assert_int_equal(car.colour, 1);
	assert_int_equal(car.extras, 4);
	assert_int_equal(car.drivers.count, 0);
	assert_int_equal(car.engine.power, 75);
	assert_int_equal(car.n_wheels + car.n_spares, 0);
	assert_int_equal(car.users.count, 0);
	assert_true(conf_user_allowed(&car.users, 0));
	assert_true(conf_user_allowed(&car.users, geteuid()));
	assert_false(conf_user_allowed(&car.users, geteuid() + 1));
}

static void each_type(void **state)
{
	(void)state;
	assert_int_equal(parse("electric: false\n"
			       "seats: 5\n"
			       "boot: 3 MiB\n"
			       "delay: 2 s\n"
			       "owner: Ann O'Nym\n"
			       "motto: ''\n"
			       "key: 644\n"
			       "colour: red\n"
			       "extras: [hook, roof]\n"
			       "drivers: [root, 1234]\n"
			       "users: [root, 4321]\n"
			       "engine: {power: 90}\n"
			       "wheels:\n"
			       "  - spokes: 3\n"
			       "  - {spokes: 4}\n"
			       "spares:\n"
			       "  left: {spokes: 5}\n"
			       "  right: {spokes: 6}\n"
			       "flies: false\n"
			       "rolls: true\n"
			       "stickers: [any, {thing: 1}]\n"),
			 0);
	assert_false(car.electric);
	assert_int_equal(car.seats, 5);
	assert_int_equal(car.boot, 3 << 20);
	assert_int_equal(car.delay, 2000);
	assert_string_equal(car.owner, "Ann O'Nym");
	assert_string_equal(car.motto, "");
	assert_int_equal(car.key, 0644);
	assert_int_equal(car.colour, 0);
	assert_int_equal(car.extras, 5);
	assert_int_equal(car.drivers.count, 2);
	assert_string_equal(car.drivers.items[1], "1234");
	assert_int_equal(car.users.count, 2);
	assert_int_equal(car.users.uids[0], 0);
	assert_int_equal(car.users.uids[1], 4321);
	assert_true(conf_user_allowed(&car.users, 4321));
	assert_false(conf_user_allowed(&car.users, 1234));
	assert_int_equal(car.engine.power, 90);
	assert_int_equal(car.n_wheels, 2);
	assert_int_equal(car.wheels[1].spokes, 4);
	assert_int_equal(car.n_spares, 2);
	assert_string_equal(car.spares[1].name, "right");
	assert_int_equal(car.spares[1].spokes, 6);
}

static void json_is_yaml(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"electric\": false, \"owner\": \"A\\u00e9\",\n"
			       "\t\"wheels\": [{\"spokes\": 3}, {\"spokes\": 4}]}\n"),
			 0);
	assert_string_equal(car.owner, "A\xc3\xa9");
	assert_int_equal(car.n_wheels, 2);
}

static void numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t boot, delay;
	} rows[] = {
		{"{boot: 1024, delay: 0}", 1024, 0},
		{"{boot: 1KiB, delay: 5ms}", 1024, 5},
		{"{boot: 4 GiB, delay: 60 min}", UINT64_C(4) << 30, 3600000},
		{"{boot: 0001025, delay: 3600 s}", 1025, 3600000},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse(rows[i].text), 0);
		assert_true(car.boot == rows[i].boot);
		assert_true(car.delay == rows[i].delay);
	}
	assert_int_equal(parse("seats: auto"), 0);
	assert_int_equal(car.seats, 0);
}

static void errors(void **state)
{
	(void)state;
#define SEATS "'seats': expected an integer from 1 to 9 or 'auto', not "
#define BOOT                                                                             \
	"'boot': expected a size from 1 KiB to 4 GiB, in bytes or with a unit (KiB, "    \
	"MiB, GiB), not "
#define MODE                                                                             \
	"'key': expected an octal mode that lets someone write, such as \"0660\": "      \
	"clients need that to connect"
#define DELAY                                                                            \
	"'delay': expected a time from 0 to 60 min, in milliseconds or with a unit "     \
	"(ms, s, min), not "
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"", "1:1: the file is empty"},
		{"# nothing", "1:1: the file is empty"},
		{"[]", "1:1: expected a map of keys, not a list"},
		{"a", "1:1: expected a map of keys, not 'a'"},
		{"electric: yes", "1:11: 'electric': expected true or false, not 'yes'"},
		{"electric: 'true'",
		 "1:11: 'electric': expected true or false, not the string 'true'"},
		{"seats: 0", "1:8: " SEATS "'0'"},
		{"seats: 10", "1:8: " SEATS "'10'"},
		{"seats: -1", "1:8: " SEATS "'-1'"},
		{"seats: 5.0", "1:8: " SEATS "'5.0'"},
		{"seats: 0x5", "1:8: " SEATS "'0x5'"},
		{"seats: 5 KiB", "1:8: " SEATS "'5 KiB'"},
		{"seats: \"5\"", "1:8: " SEATS "the string '5'"},
		{"seats: \"auto\"", "1:8: " SEATS "the string 'auto'"},
		{"seats: 99999999999999999999", "1:8: " SEATS "'99999999999999999999'"},
		{"seats:", "1:7: " SEATS "nothing"},
		{"seats: [1]", "1:8: " SEATS "a list"},
		{"boot: 1023", "1:7: " BOOT "'1023'"},
		{"boot: 5 GiB", "1:7: " BOOT "'5 GiB'"},
		{"boot: 9999999999 GiB", "1:7: " BOOT "'9999999999 GiB'"},
		{"boot: 9 MB", "1:7: " BOOT "'9 MB'"},
		{"delay: 61 min", "1:8: " DELAY "'61 min'"},
		{"delay: 1 h", "1:8: " DELAY "'1 h'"},
		{"owner: ''", "1:8: 'owner': expected a string, not an empty string"},
		{"owner: ~", "1:8: 'owner': expected a string, not '~'"},
		{"owner: {}", "1:8: 'owner': expected a string, not a map"},
		{"owner: \"a\\0b\"", "1:8: a string must not contain a NUL byte"},
		{"motto: 'brrrrmmm!'", "1:8: 'motto': expected at most 8 bytes"},
		{"key: 66", "1:6: " MODE},
		{"key: \"0999\"", "1:6: " MODE},
		{"key: 04755", "1:6: " MODE},
		{"key: 1755", "1:6: " MODE},
		{"key: u=rw", "1:6: " MODE},
		{"{boot: 4096, electric: true, trim: {}}",
		 "1:24: an electric car has no such boot"},
		{"colour: blue", "1:9: 'colour': expected 'red' or 'green', not 'blue'"},
		{"colour: transparent",
		 "1:9: 'colour': 'transparent' is not supported yet; expected 'red' or "
		 "'green'"},
		{"extras: [roof, sail]",
		 "1:16: 'extras': expected 'roof', 'radio' or 'hook', not 'sail'"},
		{"extras: [roof, hook, roof]", "1:22: 'extras': 'roof' is given twice"},
		{"extras: hook", "1:9: 'extras': expected a list, not 'hook'"},
		{"extras: [[]]",
		 "1:10: 'extras': expected 'roof', 'radio' or 'hook', not a list"},
		{"drivers: []", "1:10: 'drivers': expected 1 to 3 elements, not 0"},
		{"drivers: [1, 2, 3, 4]",
		 "1:10: 'drivers': expected 1 to 3 elements, not 4"},
		{"drivers: [1, [2]]", "1:14: 'drivers': expected a string, not a list"},
		{"users: []", "1:8: 'users': expected 1 to 3 elements, not 0"},
		{"users: [1, 2, 1]", "1:15: 'users': '1' is given twice"},
		{"users: [1, no such]",
		 "1:12: 'users': there is no user 'no such' on this system"},
		{"engine: 5", "1:9: 'engine': expected a map, not '5'"},
		{"engine: {power: x}",
		 "1:17: 'power': expected an integer from 0 to 1000, not 'x'"},
		{"wheels: {}", "1:9: 'wheels': expected a list, not a map"},
		{"wheels: [1]", "1:10: 'wheels': expected a map, not '1'"},
		{"wheels: [{}]", "1:10: the wheel needs the key 'spokes'"},
		{"wheels: [{spokes: 1}]", "1:9: an odd number of wheels"},
		{"wheels: [{spokes: 13}]", "1:19: 13 spokes break"},
		{"wheels:\n- spokes: 1\n- spokes: 1\n- spokes: 1\n- spokes: 2",
		 "5:3: the last wheel is different"},
		{"\n\n{seats: 7}", "3:1: 7 seats need an owner"},
		{"spares: []", "1:9: 'spares': expected a map of names, not a list"},
		{"spares: {'': {spokes: 1}}",
		 "1:10: 'spares': expected a string, not an empty string"},
		{"spares: {a: {spokes: 1}, a: {spokes: 1}}",
		 "1:26: 'a' is given twice in 'spares'"},
		{"flies: true",
		 "1:8: 'flies: true' is not supported yet: use false or leave it out"},
		{"flies: \"\\e\"",
		 "1:8: 'flies: \\x1b' is not supported yet: use false or leave it out"},
		{"flies: []",
		 "1:8: 'flies: ...' is not supported yet: use false or leave it out"},
		{"rolls: false", "1:8: 'rolls: false' would be sad"},
		{"drivers: [1, 2, 1]", "1:17: 'drivers': '1' is given twice"},
		{"key: \"0444\"", "1:6: " MODE},
		{"power: 3", "1:1: unknown key 'power' in the car: it belongs in "
			     "'engine'"},
		{"spokes: 3", "1:1: unknown key 'spokes' in the car (did you mean "
			      "'spares'?), or it belongs in "
			      "'wheels' or 'spares'"},
		{"engine: {leather: 3}", "1:10: unknown key 'leather' in the engine: it "
					 "belongs in 'trim'; expected here: 'power'"},
		{"engine: {owner: 3}", "1:10: unknown key 'owner' in the engine: it "
				       "belongs at the top of the file; expected here: "
				       "'power'"},
		{"engine: {spokes: 3}",
		 "1:10: unknown key 'spokes' in the engine, expected 'power'"},
		{"engine: {wings: 3}",
		 "1:10: unknown key 'wings' in the engine, expected 'power'"},
		{"\xff\xfes\0",
		 "1:1: the file is not UTF-8 but looks like UTF-16: save it "
		 "as UTF-8"},
		{"wings: 2", "1:8: 'wings' is not supported yet: leave it out"},
		{"fins: 2", "1:7: 'fins' are for fish"},
		{"engine: {fins: 2}", "1:16: 'fins' are for nobody"},
		{"seats: 1\nsaets: 2",
		 "2:1: unknown key 'saets' in the car (did you mean 'seats'?)"},
		{"electrc: true",
		 "1:1: unknown key 'electrc' in the car (did you mean 'electric'?)"},
		{"engine: {pow: 1}",
		 "1:10: unknown key 'pow' in the engine, expected 'power'"},
		{"engine: {powe: 1}",
		 "1:10: unknown key 'powe' in the engine (did you mean 'power'?)"},
		{"engine: {x: 1}",
		 "1:10: unknown key 'x' in the engine, expected 'power'"},
		{"seats: 1\nowner: a\nseats: 1",
		 "3:1: 'seats' is given twice in the car"},
		{"seats: &a 1", "1:8: anchors are not supported: leave out '&...'"},
		{"wheels: &a []", "1:9: anchors are not supported: leave out '&...'"},
		{"engine: &a {}", "1:9: anchors are not supported: leave out '&...'"},
		{"seats: *a", "1:8: aliases are not supported: write the value out"},
		{"seats: !!int 1", "1:8: tags are not supported: leave out '!...'"},
		{"{}\n--- {}", "2:1: only one document is allowed"},
		{"[1]: 2", "1:1: expected a key, not a list"},
		{"seats: [1, 2", "2:1: did not find expected ',' or ']' (while parsing "
				 "a flow sequence that begins at line 1)"},
		{"owner: a\nmotto: \xff", "2:8: invalid leading UTF-8 octet"},
		{"seats: 1\n\tboot: 1",
		 "2:1: found a tab character that violates indentation (while scanning "
		 "a plain scalar that begins at line 1)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char expected[512];

		snprintf(expected, sizeof(expected), "car.yaml:%s", rows[i].message);
		assert_int_equal(parse(rows[i].text), E_SYNTAX);
		if (strchr(err.text, '\n') != NULL)
			print_error("%s\n", err.text);
		assert_string_equal(err.text, expected);
	}
}

/* Each error is reported once, in the order of the file, without errors that follow from
 * others. */
static void all_errors(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"seats: 0\nboot: 3 MiB\nsaets: 1\nseats: 3\nengine: {power: x, y: 1}",
		 "car.yaml:1:8: " SEATS "'0'\n"
		 "car.yaml:3:1: unknown key 'saets' in the car (did you mean 'seats'?)\n"
		 "car.yaml:4:1: 'seats' is given twice in the car\n"
		 "car.yaml:5:17: 'power': expected an integer from 0 to 1000, not 'x'\n"
		 "car.yaml:5:20: unknown key 'y' in the engine, expected 'power'"},
		{"drivers: [[], 1, {}, 1]\nextras: [sail, roof, roof]",
		 "car.yaml:1:10: 'drivers': expected 1 to 3 elements, not 4\n"
		 "car.yaml:2:10: 'extras': expected 'roof', 'radio' or 'hook', not "
		 "'sail'\n"
		 "car.yaml:2:22: 'extras': 'roof' is given twice"},
		{"drivers: [[], 1, 1]\nextras: [sail, roof, roof]",
		 "car.yaml:1:11: 'drivers': expected a string, not a list\n"
		 "car.yaml:1:18: 'drivers': '1' is given twice\n"
		 "car.yaml:2:10: 'extras': expected 'roof', 'radio' or 'hook', not "
		 "'sail'\n"
		 "car.yaml:2:22: 'extras': 'roof' is given twice"},
		{"wheels: [{spokes: 0}, {}, 3, {spokes: 13}]\n"
		 "spares: {a: {spokes: 0}, a: {}, '': {x: 1}}",
		 "car.yaml:1:19: 'spokes': expected an integer from 1 to 100, not '0'\n"
		 "car.yaml:1:23: the wheel needs the key 'spokes'\n"
		 "car.yaml:1:27: 'wheels': expected a map, not '3'\n"
		 "car.yaml:1:39: 13 spokes break\n"
		 "car.yaml:2:22: 'spokes': expected an integer from 1 to 100, not '0'\n"
		 "car.yaml:2:29: the wheel needs the key 'spokes'\n"
		 "car.yaml:2:26: 'a' is given twice in 'spares'\n"
		 "car.yaml:2:33: 'spares': expected a string, not an empty string\n"
		 "car.yaml:2:38: unknown key 'x' in the wheel, expected 'spokes'\n"
		 "car.yaml:2:37: the wheel needs the key 'spokes'"},
		{"users: [no such, 0, none such]",
		 "car.yaml:1:9: 'users': there is no user 'no such' on this system\n"
		 "car.yaml:1:21: 'users': there is no user 'none such' on this system"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse(rows[i].text), E_SYNTAX);
		assert_string_equal(err.text, rows[i].message);
		assert_int_equal(err.warnings, 0);
	}
}

/* Errors beyond the limit are only counted. */
static void very_many_errors(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, CONF_MAX_FILE);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "z%d: 1\n", i);
	assert_int_equal(parse_bytes(buf_slice(&b)), E_SYNTAX);
	buf_fini(&b);
	assert_in_range(strlen(err.text), sizeof(err.text) - 700, sizeof(err.text) - 1);
	size_t lines = 1, left_out = 0;
	for (const char *p = err.text; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(sscanf(strrchr(err.text, '\n'), "\n... and %zu more", &left_out),
			 1);
	assert_int_equal(lines - 1 + left_out, 1000);
}

static void warn_car(struct conf *c, void *map)
{
	const struct car *it = map;

	assert_int_equal(conf_broken(c, &it->seats), it->seats == 0);
	assert_false(conf_broken(c, &it->n_wheels));
	conf_warn(c, &it->seats, "%d seats are many", it->seats);
	conf_warn(c, NULL, "a car is dear");
}

static void warnings(void **state)
{
	(void)state;
	static const struct conf_key keys[] = {
		CONF_KEY("seats", INT, struct car, seats, .required = true, .min = 1,
			 .max = 9),
	};
	struct conf_table table = CONF_TABLE("the car", struct car, keys, warn_car);

	assert_int_equal(parse_named(slice_str("\nseats: 8"), "c", &table), 0);
	assert_string_equal(err.text, "c:2:8: warning: 8 seats are many\n"
				      "c:2:1: warning: a car is dear");
	assert_int_equal(err.warnings, 2);
	/* also after an error, if the table asks for it */
	table.check_anyway = true;
	assert_int_equal(parse_named(slice_str("{}"), "c", &table), E_SYNTAX);
	assert_int_equal(err.warnings, 2);
	assert_int_equal(parse_named(slice_str("seats: x"), "c", &table), E_SYNTAX);
	assert_int_equal(err.warnings, 2);
}

static void byte_order_marks(void **state)
{
	(void)state;
	static const char utf16le[] = "s\0e\0", utf16be[] = "\0s\0e";

	assert_int_equal(parse("\xef\xbb\xbfseats: 3"), 0);
	assert_int_equal(car.seats, 3);
	assert_int_equal(parse("\xef\xbb\xbfseats: 0"), E_SYNTAX);
	assert_string_equal(err.text, "car.yaml:1:8: " SEATS "'0'");
	assert_int_equal(parse("\xef\xbb\xbf"), E_SYNTAX);
	assert_string_equal(err.text, "car.yaml:1:1: the file is empty");
	assert_int_equal(parse_bytes(slice_of(utf16le, 4)), E_SYNTAX);
	assert_non_null(strstr(err.text, "looks like UTF-16"));
	assert_int_equal(parse_bytes(slice_of(utf16be, 4)), E_SYNTAX);
	assert_non_null(strstr(err.text, "looks like UTF-16"));
	assert_int_equal(parse("\xfe\xff"), E_SYNTAX);
	assert_non_null(strstr(err.text, "looks like UTF-16"));
}

static void bounds(void **state)
{
	(void)state;
	char deep[100] = "stickers: ";
	size_t n = strlen(deep);

	/* the outermost map is one level, the lists are the others */
	memset(deep + n, '[', CONF_MAX_DEPTH - 1);
	memset(deep + n + CONF_MAX_DEPTH - 1, ']', CONF_MAX_DEPTH - 1);
	assert_int_equal(parse(deep), 0);
	memset(deep + n, '[', CONF_MAX_DEPTH);
	assert_int_equal(parse(deep), E_SYNTAX);
	assert_string_equal(err.text, "car.yaml:1:26: nested more than 16 levels deep");

	char *big = calloc(1, CONF_MAX_FILE + 1);
	memset(big, ' ', CONF_MAX_FILE + 1);
	memcpy(big, "{}\n#", 4);
	assert_int_equal(parse_bytes(slice_of(big, CONF_MAX_FILE)), 0);
	assert_int_equal(parse_bytes(slice_of(big, CONF_MAX_FILE + 1)), E_SYNTAX);
	free(big);
}

/* Parses a megabyte that begins with one text and continues with copies of another. */
static int parse_many(const char *begin, const char *one)
{
	struct buf b;

	buf_init(&b, CONF_MAX_FILE + 1); /* buf_printf needs room for a terminator */
	buf_printf(&b, "%s", begin);
	while (b.len + strlen(one) <= CONF_MAX_FILE)
		buf_printf(&b, "%s", one);
	assert_int_equal(b.err, 0);
	int r = parse_bytes(buf_slice(&b));
	buf_fini(&b);
	return r;
}

/* Without our limits, some of these would keep libyaml busy for minutes, or recurse for
 * ever. */
static void hostile_files(void **state)
{
	(void)state;
	static const struct {
		const char *begin, *one, *message;
	} rows[] = {
		{"", "[", "1:17: nested more than 16 levels deep"},
		{"", "{a: ", "1:65: nested more than 16 levels deep"},
		{"", "- ", "1:33: nested more than 16 levels deep"},
		{"", "? ", "1:33: nested more than 16 levels deep"},
		{"a: &a [x, x]\n", "b: [*a, *a]\n", "1:4: anchors are not supported"},
		{"a: [*a]\n", "b: [*a]\n", "1:5: aliases are not supported"},
		{"", "- &a\n", "1:3: anchors are not supported"},
		{"", "%TAG ! x\n", "2:1: found duplicate %TAG directive"},
		{"drivers: [1", ",1", "2:1: did not find expected"},
		{"drivers:\n", "- a\n", "2:1: 'drivers': expected 1 to 3 elements"},
		{"stickers: {a: 1", ",\na: 1", "did not find expected"},
		{"", "stickers: 1\n", ""},
		{"", "saets: 1\n", "1:1: unknown key 'saets'"},
		{"", "seats: 1\n", "2:1: 'seats' is given twice"},
		{"wheels:\n", "- 1\n", "2:1: 'wheels': expected 0 to 4 elements"},
		{"spares:\n", " ? a\n", "2:2: 'spares': expected 0 to 4 elements"},
		{"owner: ", "x", ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		alarm(60);
		int r = parse_many(rows[i].begin, rows[i].one);
		alarm(0);
		if (strstr(err.text, rows[i].message) == NULL)
			print_error("%zu: %.200s\n", i, err.text);
		assert_non_null(strstr(err.text, rows[i].message));
		assert_int_equal(r, rows[i].message[0] == '\0' ? 0 : E_SYNTAX);
	}
}

static void long_texts_are_cut(void **state)
{
	(void)state;
	char name[600], text[1000];

	memset(name, 'n', sizeof(name));
	memcpy(name + sizeof(name) - 6, ".yaml", 6);
	memset(text, 'k', sizeof(text));
	memcpy(text + sizeof(text) - 4, ": 1", 4);
	assert_int_equal(parse_named(slice_str(text), name, &car_table), E_SYNTAX);
	assert_non_null(strstr(err.text, "n.yaml:1:1: unknown key 'kkkk"));
	assert_int_equal(strncmp(err.text, "...nnn", 6), 0);
}

static const char valid[] = "electric: false\n"
			    "seats: 5\n"
			    "boot: 3 MiB\n"
			    "owner: \"A\\u00e9 \\\"x\\\"\"\n"
			    "extras: [hook, roof]\n"
			    "drivers: [0, 1234]\n"
			    "wheels:\n"
			    "  - spokes: 3 # three\n"
			    "  - {spokes: 4}\n"
			    "spares:\n"
			    "  left: {spokes: 5}\n"
			    "  right: {'spokes': 6}\n";

/* Whatever the damage, a file is read, or refused with a message. */
static void check_parsed(struct slice text)
{
	int rc = parse_bytes(text);

	assert_true(rc == 0 || rc == E_SYNTAX);
	assert_true((rc == 0) == (err.text[0] == '\0'));
}

static void cut_and_flipped(void **state)
{
	(void)state;
	char text[sizeof(valid)];

	for (size_t len = 0; len < sizeof(valid); len++) {
		/* an exact copy, so that sanitizers see reads behind its end */
		char *copy = malloc(len + 1);
		memcpy(copy, valid, len);
		check_parsed(slice_of(copy, len));
		free(copy);
	}
	for (size_t i = 0; i < sizeof(valid) - 1; i++) {
		for (int bit = 0; bit < 8; bit++) {
			memcpy(text, valid, sizeof(valid));
			text[i] = (char)(text[i] ^ 1 << bit);
			check_parsed(slice_of(text, sizeof(valid) - 1));
		}
	}
}

/* Reads and parses a file. */
static int load(const char *path)
{
	struct buf text;
	int r = conf_read(path, &text, &err);

	if (r == 0)
		r = parse_named(buf_slice(&text), path, &car_table);
	buf_fini(&text);
	return r;
}

static void files(void **state)
{
	(void)state;
	char path[] = "/tmp/test_conf_XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd != -1);
	assert_true(write(fd, "seats: 3\n", 9) == 9);
	assert_int_equal(load(path), 0);
	assert_int_equal(car.seats, 3);
	assert_int_equal(ftruncate(fd, CONF_MAX_FILE + 10), 0);
	assert_int_equal(load(path), E_SYNTAX);
	assert_non_null(strstr(err.text, ":1:1: the file is longer than 1 MiB"));
	close(fd);
	unlink(path);
	assert_int_equal(load(path), E_SYS);
	assert_non_null(strstr(err.text, ": No such file or directory"));
	assert_int_equal(load("/dev/zero"), E_SYNTAX);
	assert_int_equal(load("/"), E_SYS);
	assert_string_equal(err.text, "/: Is a directory");
}

/* --- changes --- */

#define WHOLE_CAR                                                                        \
	"electric: false\nseats: 2\nboot: 1024\ndelay: 1\nowner: me\nmotto: x\n"         \
	"key: \"0666\"\ncolour: red\nextras: [hook]\ndrivers: [a, b]\nusers: [1, 2]\n"   \
	"engine: {power: 3}\nwheels: [{spokes: 5}, {spokes: 6}]\n"                       \
	"spares: {a: {spokes: 7}, b: {spokes: 8}}\n"

/* Replaces `from` in WHOLE_CAR by `to`: conf_changes must name this key, and no other. */
static void expect_change(const char *from, const char *to, const char *key)
{
	char text[2000], name[64];
	struct pool old_pool;
	struct buf names;

	assert_int_equal(parse(WHOLE_CAR), 0);
	struct car old = car;
	old_pool = pool;
	pool_init(&pool);
	const char *at = strstr(WHOLE_CAR, from);
	assert_non_null(at);
	(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - WHOLE_CAR), WHOLE_CAR,
		       to, at + strlen(from));
	if (parse(text) != 0)
		fail_msg("%s", err.text);
	buf_init(&names, 100);
	conf_changes(&car_table, &old, &car, &names);
	(void)snprintf(name, sizeof(name), "%.*s", (int)names.len,
		       names.len == 0 ? "" : (const char *)names.data);
	assert_string_equal(name, key);
	buf_fini(&names);
	pool_fini(&old_pool);
}

static void changes_are_named(void **state)
{
	(void)state;
	expect_change("seats: 2", "seats: 2", "");
	expect_change("delay: 1\n", "delay: 1ms\n", "");
	expect_change("seats: 2", "seats: 3", "seats");
	expect_change("seats: 2\n", "", "seats");
	expect_change("boot: 1024", "boot: 1025", "boot");
	expect_change("delay: 1", "delay: 2", "delay");
	expect_change("owner: me", "owner: you", "owner");
	expect_change("owner: me\n", "", "owner");
	expect_change("motto: x", "motto: vroom", "motto");
	expect_change("0666", "0660", "key");
	expect_change("red", "green", "colour");
	expect_change("[hook]", "[hook, roof]", "extras");
	expect_change("[a, b]", "[b, a]", "drivers");
	expect_change("[a, b]", "[a]", "drivers");
	expect_change("[1, 2]", "[1, 3]", "users");
	expect_change("[1, 2]", "[1]", "users");
	expect_change("power: 3", "power: 4", "engine");
	expect_change("spokes: 6", "spokes: 9", "wheels");
	expect_change("{spokes: 6}", "{spokes: 6}, {spokes: 5}, {spokes: 5}", "wheels");
	expect_change("b: {spokes: 8}", "c: {spokes: 8}", "spares");
	expect_change("b: {spokes: 8}", "b: {spokes: 9}", "spares");
	pool_fini(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_named),
		cmocka_unit_test(defaults),
		cmocka_unit_test(each_type),
		cmocka_unit_test(json_is_yaml),
		cmocka_unit_test(numbers),
		cmocka_unit_test(errors),
		cmocka_unit_test(all_errors),
		cmocka_unit_test(very_many_errors),
		cmocka_unit_test(warnings),
		cmocka_unit_test(byte_order_marks),
		cmocka_unit_test(bounds),
		cmocka_unit_test(hostile_files),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(cut_and_flipped),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, end);
}
