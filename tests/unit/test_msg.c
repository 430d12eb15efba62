/* SPDX-License-Identifier: Apache-2.0 */
/* Reading messages: each that a client may send, in each encoding; what clients may leave
 * out; and what is refused. */
#include "proto/msg.h"
#include "proto/transcode.h"
#include "tests/unit/codec_check.h"

#include <stdio.h>

struct sample {
	const char *json, *msgpack, *cbor; /* text, hex, hex */
	const char *shown;                 /* as by show_msg; the same for all */
};

static const struct sample samples[] = {
	{"[1,\"com.example.realm\",{\"roles\":{\"subscriber\":{},\"publisher\":{"
	 "\"features\":{\"x\":true}}},\"agent\":\"a/"
	 "1\",\"authmethods\":[\"anonymous\",\"cryptosign\"],\"authid\":\"joe\","
	 "\"authrole\":\"r\",\"authextra\":{\"pubkey\":\"ab01\",\"channel_binding\":"
	 "\"tls-unique\",\"trustroot\":null}}]",
	 "9301b1636f6d2e6578616d706c652e7265616c6d86a5726f6c657382aa737562736372696265728"
	 "0a97075626c697368657281a8666561747572657381a178c3a56167656e74a3612f31ab61757468"
	 "6d6574686f647392a9616e6f6e796d6f7573aa63727970746f7369676ea6617574686964a36a6f6"
	 "5a861757468726f6c65a172a961757468657874726183a67075626b6579a461623031af6368616e"
	 "6e656c5f62696e64696e67aa746c732d756e69717565a97472757374726f6f74c0",
	 "830171636f6d2e6578616d706c652e7265616c6da665726f6c6573a26a73756273637269626572a"
	 "0697075626c6973686572a1686665617475726573a16178f5656167656e7463612f316b61757468"
	 "6d6574686f64738269616e6f6e796d6f75736a63727970746f7369676e66617574686964636a6f6"
	 "56861757468726f6c65617269617574686578747261a3667075626b657964616230316f6368616e"
	 "6e656c5f62696e64696e676a746c732d756e69717565697472757374726f6f74f6",
	 "HELLO realm='com.example.realm' agent='a/1' methods='anonymous','cryptosign' "
	 "authid='joe' authrole='r' authextra={'pubkey' 'ab01' 'channel_binding' "
	 "'tls-unique' 'trustroot' null} pubkey='ab01' binds binding='tls-unique'"},
	{"[1,null,{\"roles\":{\"callee\":{}}}]", "9301c081a5726f6c657381a663616c6c656580",
	 "8301f6a165726f6c6573a16663616c6c6565a0", "HELLO"},
	{"[1,\"\",{\"roles\":{\"caller\":{}},\"authid\":null,\"authrole\":\"\","
	 "\"authmethods\":null,\"authextra\":null,\"agent\":null}]",
	 "9301a086a5726f6c657381a663616c6c657280a6617574686964c0a861757468726f6c65a0ab617"
	 "574686d6574686f6473c0a9617574686578747261c0a56167656e74c0",
	 "830160a665726f6c6573a16663616c6c6572a066617574686964f66861757468726f6c65606b617"
	 "574686d6574686f6473f669617574686578747261f6656167656e74f6",
	 "HELLO"},
	{"[1,\"r\",{\"authextra\":{\"pubkey\":null,\"channel_binding\":5},\"roles\":{"
	 "\"caller\":{},\"x\":1},\"authmethods\":[]}]",
	 "9301a17283a961757468657874726182a67075626b6579c0af6368616e6e656c5f62696e64696e6"
	 "705a5726f6c657382a663616c6c657280a17801ab617574686d6574686f647390",
	 "83016172a369617574686578747261a2667075626b6579f66f6368616e6e656c5f62696e64696e6"
	 "70565726f6c6573a26663616c6c6572a06178016b617574686d6574686f647380",
	 "HELLO realm='r' authextra={'pubkey' null 'channel_binding' 5} binds"},
	{"[3,{\"message\":\"The realm does not exist.\"},\"wamp.error.no_such_realm\"]",
	 "930381a76d657373616765b9546865207265616c6d20646f6573206e6f742065786973742eb8776"
	 "16d702e6572726f722e6e6f5f737563685f7265616c6d",
	 "8303a1676d6573736167657819546865207265616c6d20646f6573206e6f742065786973742e781"
	 "877616d702e6572726f722e6e6f5f737563685f7265616c6d",
	 "ABORT uri='wamp.error.no_such_realm' text='The realm does not exist.'"},
	{"[3,{},\"wamp.error.x\",[\"a\"],{\"b\":1}]",
	 "950380ac77616d702e6572726f722e7891a16181a16201",
	 "8503a06c77616d702e6572726f722e78816161a1616201",
	 "ABORT uri='wamp.error.x' ['a'] {'b' 1}"},
	{"[5,\"a5d3\",{}]", "9305a46135643380", "83056461356433a0",
	 "AUTHENTICATE text='a5d3'"},
	{"[5,\"\",{\"x\":[1]}]", "9305a081a1789101", "830560a161788101", "AUTHENTICATE"},
	{"[6,{\"message\":\"bye\"},\"wamp.close.normal\"]",
	 "930681a76d657373616765a3627965b177616d702e636c6f73652e6e6f726d616c",
	 "8306a1676d657373616765636279657177616d702e636c6f73652e6e6f726d616c",
	 "GOODBYE uri='wamp.close.normal' text='bye'"},
	{"[6,{\"message\":null,\"reason\":1},\"wamp.close.normal\"]",
	 "930682a76d657373616765c0a6726561736f6e01b177616d702e636c6f73652e6e6f726d616c",
	 "8306a2676d657373616765f666726561736f6e017177616d702e636c6f73652e6e6f726d616c",
	 "GOODBYE uri='wamp.close.normal'"},
	{"[8,68,6131533,{},\"com.myapp.error.x\",[\"hidden\"],{\"row\":23}]",
	 "970844ce005d8f4d80b1636f6d2e6d796170702e6572726f722e7891a668696464656e81a3726f7"
	 "717",
	 "870818441a005d8f4da071636f6d2e6d796170702e6572726f722e78816668696464656ea163726"
	 "f7717",
	 "ERROR 6131533 type=INVOCATION uri='com.myapp.error.x' ['hidden'] {'row' 23}"},
	{"[8,48,1,{},\"com.e\"]", "9508300180a5636f6d2e65", "8508183001a065636f6d2e65",
	 "ERROR 1 type=CALL uri='com.e'"},
	{"[16,239714735,{},\"com.myapp.mytopic1\"]",
	 "9410ce0e49c1af80b2636f6d2e6d796170702e6d79746f70696331",
	 "84101a0e49c1afa072636f6d2e6d796170702e6d79746f70696331",
	 "PUBLISH 239714735 uri='com.myapp.mytopic1'"},
	{"[16,1,{\"acknowledge\":true,\"exclude_me\":false,\"retain\":true},\"com.t\",["
	 "\"Hello, world!\"]]",
	 "95100183ab61636b6e6f776c65646765c3aa6578636c7564655f6d65c2a672657461696ec3a5636"
	 "f6d2e7491ad48656c6c6f2c20776f726c6421",
	 "851001a36b61636b6e6f776c65646765f56a6578636c7564655f6d65f46672657461696ef565636"
	 "f6d2e74816d48656c6c6f2c20776f726c6421",
	 "PUBLISH 1 uri='com.t' acknowledge include_me retain ['Hello, world!']"},
	{"[16,1,{\"acknowledge\":null,\"exclude_me\":null},\"com.t\",[],{\"a\":{}}]",
	 "96100182ab61636b6e6f776c65646765c0aa6578636c7564655f6d65c0a5636f6d2e749081a1618"
	 "0",
	 "861001a26b61636b6e6f776c65646765f66a6578636c7564655f6d65f665636f6d2e7480a16161a"
	 "0",
	 "PUBLISH 1 uri='com.t' [] {'a' {}}"},
	{"[16,1,{\"acknowledge\":false,\"exclude_me\":true,\"eligible\":[1,2],\"x\":{"
	 "\"y\":[{}]}},\"com.t\",[],{}]",
	 "96100184ab61636b6e6f776c65646765c2aa6578636c7564655f6d65c3a8656c696769626c65920"
	 "102a17881a1799180a5636f6d2e749080",
	 "861001a46b61636b6e6f776c65646765f46a6578636c7564655f6d65f568656c696769626c65820"
	 "1026178a1617981a065636f6d2e7480a0",
	 "PUBLISH 1 uri='com.t' eligible=[1 2] [] {}"},
	{"[16,1,{\"disclose_me\":true,\"exclude_authrole\":[\"a\"],\"eligible_authid\":[]"
	 ","
	 "\"exclude\":null},\"t\"]",
	 "94100184ab646973636c6f73655f6d65c3b06578636c7564655f617574687"
	 "26f6c6591a161af656c696769626c655f61757468696490a76578636c756465c0a174",
	 "841001a46b646973636c6f73655f6d65f5706578636c7564655f617574687"
	 "26f6c658161616f656c696769626c655f61757468696480676578636c756465f66174",
	 "PUBLISH 1 uri='t' disclose eligible_authid=[] exclude_authrole=['a']"},
	{"[32,713845233,{},\"com.myapp.mytopic1\"]",
	 "9420ce2a8c69f180b2636f6d2e6d796170702e6d79746f70696331",
	 "8418201a2a8c69f1a072636f6d2e6d796170702e6d79746f70696331",
	 "SUBSCRIBE 713845233 uri='com.myapp.mytopic1'"},
	{"[32,713845233,{\"match\":\"prefix\",\"get_retained\":false},\"com\"]",
	 "9420ce2a8c69f182a56d61746368a6707265666978ac6765745f72657461696e6564c2a3636f6d",
	 "8418201a2a8c69f1a2656d61746368667072656669786c6765745f72657461696e6564f463636f6"
	 "d",
	 "SUBSCRIBE 713845233 uri='com' match='prefix'"},
	{"[34,85346237,5512315355]", "9322ce051647bdcf00000001488f41db",
	 "8318221a051647bd1b00000001488f41db", "UNSUBSCRIBE 85346237 id=5512315355"},
	{"[34,85346237,5512315355,{\"forward_for\":[]}]",
	 "9422ce051647bdcf00000001488f41db81ab666f72776172645f666f7290",
	 "8418221a051647bd1b00000001488f41dba16b666f72776172645f666f7280",
	 "UNSUBSCRIBE 85346237 id=5512315355"},
	{"[48,7814135,{},\"com.myapp.ping\"]",
	 "9430ce00773bf780ae636f6d2e6d796170702e70696e67",
	 "8418301a00773bf7a06e636f6d2e6d796170702e70696e67",
	 "CALL 7814135 uri='com.myapp.ping'"},
	{"[48,9007199254740992,{\"timeout\":1000,\"receive_progress\":true},\"com.myapp."
	 "user.new\",[\"johnny\"],{\"first\":\"John\"}]",
	 "9630cf002000000000000082a774696d656f7574cd03e8b0726563656976655f70726f677265737"
	 "3c3b2636f6d2e6d796170702e757365722e6e657791a66a6f686e6e7981a56669727374a44a6f68"
	 "6e",
	 "8618301b0020000000000000a26774696d656f75741903e870726563656976655f70726f6772657"
	 "373f572636f6d2e6d796170702e757365722e6e657781666a6f686e6e79a1656669727374644a6f"
	 "686e",
	 "CALL 9007199254740992 uri='com.myapp.user.new' receive_progress ['johnny'] "
	 "{'first' 'John'}"},
	{"[49,7814135,{}]", "9331ce00773bf780", "8318311a00773bf7a0", "CANCEL 7814135"},
	{"[49,7814135,{\"mode\":\"kill\"}]", "9331ce00773bf781a46d6f6465a46b696c6c",
	 "8318311a00773bf7a1646d6f6465646b696c6c", "CANCEL 7814135 text='kill'"},
	{"[64,25349185,{},\"com.myapp.myprocedure1\"]",
	 "9440ce0182cc4180b6636f6d2e6d796170702e6d7970726f63656475726531",
	 "8418401a0182cc41a076636f6d2e6d796170702e6d7970726f63656475726531",
	 "REGISTER 25349185 uri='com.myapp.myprocedure1'"},
	{"[64,1,{\"match\":\"wildcard\",\"invoke\":\"roundrobin\",\"concurrency\":2},"
	 "\"com..x\"]",
	 "94400183a56d61746368a877696c6463617264a6696e766f6b65aa726f756e64726f62696eab636"
	 "f6e63757272656e637902a6636f6d2e2e78",
	 "84184001a3656d617463686877696c646361726466696e766f6b656a726f756e64726f62696e6b6"
	 "36f6e63757272656e63790266636f6d2e2e78",
	 "REGISTER 1 uri='com..x' match='wildcard' invoke='roundrobin'"},
	{"[64,1,{\"match\":null,\"invoke\":null},\"com.x\"]",
	 "94400182a56d61746368c0a6696e766f6b65c0a5636f6d2e78",
	 "84184001a2656d61746368f666696e766f6b65f665636f6d2e78",
	 "REGISTER 1 uri='com.x'"},
	{"[64,1,{\"disclose_caller\":true},\"com.x\"]",
	 "94400181af646973636c6f73655f63616c6c6572c3a5636f6d2e78",
	 "84184001a16f646973636c6f73655f63616c6c6572f565636f6d2e78",
	 "REGISTER 1 uri='com.x' disclose"},
	{"[66,788923562,2103333224]", "9342ce2f0604aace7d5e5168",
	 "8318421a2f0604aa1a7d5e5168", "UNREGISTER 788923562 id=2103333224"},
	{"[66,788923562,2103333224,{}]", "9442ce2f0604aace7d5e516880",
	 "8418421a2f0604aa1a7d5e5168a0", "UNREGISTER 788923562 id=2103333224"},
	{"[70,6131533,{}]", "9346ce005d8f4d80", "8318461a005d8f4da0", "YIELD 6131533"},
	{"[70,6131533,{\"progress\":true},[\"Hi\"],{\"k\":null}]",
	 "9546ce005d8f4d81a870726f6772657373c391a2486981a16bc0",
	 "8518461a005d8f4da16870726f6772657373f581624869a1616bf6",
	 "YIELD 6131533 progress ['Hi'] {'k' null}"},
	{"[70,6131533,{\"progress\":false},[\"Hi\"]]",
	 "9446ce005d8f4d81a870726f6772657373c291a24869",
	 "8418461a005d8f4da16870726f6772657373f481624869", "YIELD 6131533 ['Hi']"},
	{"[16,1,{\"exclude_authid\":null,\"ppt_scheme\":{\"x\":[1]}},\"t\"]",
	 "94100182ae6578636c7564655f617574686964c0aa7070745f736368656d6581a1789101a174",
	 "841001a26e6578636c7564655f617574686964f66a7070745f736368656d65a1617881016174",
	 "PUBLISH 1 uri='t' ppt_scheme={'x' [1]}"},
	{"[48,1,{\"progress\":true,\"ppt_scheme\":\"wamp\"},\"p\"]",
	 "94300182a870726f6772657373c3aa7070745f736368656d65a477616d70a170",
	 "84183001a26870726f6772657373f56a7070745f736368656d656477616d706170",
	 "CALL 1 uri='p' progress ppt_scheme='wamp'"},
	{"[70,1,{\"ppt_scheme\":null}]", "93460181aa7070745f736368656d65c0",
	 "83184601a16a7070745f736368656d65f6", "YIELD 1"},
	{"[16,1,{\"ppt_scheme\":\"\",\"enc_algo\":\"\",\"ppt_keyid\":\"\"},\"t\",["
	 "\"\\u0000AQ==\"]]",
	 "95100183aa7070745f736368656d65a0a8656e635f616c676fa0a97070745f6b65796964a0a1749"
	 "1c40101",
	 "851001a36a7070745f736368656d656068656e635f616c676f60697070745f6b657969646061748"
	 "14101",
	 "PUBLISH 1 uri='t' ppt_keyid='' [h'01']"},
	{"[8,68,1,{\"ppt_scheme\":\"mqtt\",\"ppt_cipher\":7,\"x\":1},\"com.e\",["
	 "\"\\u0000\"]]",
	 "9608440183aa7070745f736368656d65a46d717474aa7070745f63697068657207a17801a5636f6"
	 "d2e6591c400",
	 "8608184401a36a7070745f736368656d65646d7174746a7070745f6369706865720761780165636"
	 "f6d2e658140",
	 "ERROR 1 type=INVOCATION uri='com.e' ppt_scheme='mqtt' ppt_cipher=7 [h'']"},
	{"[48,1,{\"enc_key\":\"k\",\"enc_algo\":\"cryptobox\",\"enc_serializer\":"
	 "\"json\"},\"p\",\"\\u0000AQI=\"]",
	 "95300183a7656e635f6b6579a16ba8656e635f616c676fa963727970746f626f78ae656e635f736"
	 "57269616c697a6572a46a736f6ea170c4020102",
	 "85183001a367656e635f6b6579616b68656e635f616c676f6963727970746f626f786e656e635f7"
	 "3657269616c697a6572646a736f6e6170420102",
	 "CALL 1 uri='p' enc_algo='cryptobox' enc_key='k' enc_serializer='json' h'0102'"},
	{"[70,1,{\"enc_algo\":1},\"\\u0000AQI=\",null]",
	 "95460181a8656e635f616c676f01c4020102c0",
	 "85184601a168656e635f616c676f01420102f6", "YIELD 1 enc_algo=1 h'0102'"},
	{"[8,68,1,{\"enc_algo\":\"mqtt\"},\"com.e\",\"\\u0000\"]",
	 "9608440181a8656e635f616c676fa46d717474a5636f6d2e65c400",
	 "8608184401a168656e635f616c676f646d71747465636f6d2e6540",
	 "ERROR 1 type=INVOCATION uri='com.e' enc_algo='mqtt' h''"},
	{"[16,1,{\"enc_algo\":\"mqtt\"},\"t\",[1],{}]",
	 "96100181a8656e635f616c676fa46d717474a174910180",
	 "861001a168656e635f616c676f646d71747461748101a0",
	 "PUBLISH 1 uri='t' enc_algo='mqtt' [1] {}"},
};

static void show_text(const char *name, struct slice s, struct buf *out)
{
	if (s.len > 0)
		buf_printf(out, " %s='%.*s'", name, (int)s.len, (const char *)s.p);
}

static void show_items(enum serializer s, struct slice in, unsigned items,
		       struct buf *out)
{
	struct token_reader r;

	token_reader_init(&r, s, in);
	for (; items > 0; items--)
		assert_int_equal(walk(&r, out), 0);
	assert_int_equal(token_end(&r), 0);
}

static void show_hello(enum serializer s, const struct msg_hello *h, struct buf *out)
{
	show_text("realm", h->realm, out);
	show_text("agent", h->agent, out);
	for (unsigned i = 0; i < h->n_authmethods; i++)
		buf_printf(out, "%s'%.*s'", i == 0 ? " methods=" : ",",
			   (int)h->authmethods[i].len, (const char *)h->authmethods[i].p);
	show_text("authid", h->authid, out);
	show_text("authrole", h->authrole, out);
	if (h->authextra.len > 0) {
		struct buf extra;

		buf_init(&extra, 10000);
		show_items(s, h->authextra, 1, &extra);
		buf_put_str(out, " authextra=");
		buf_put_slice(out, buf_slice(&extra));
		buf_fini(&extra);
	}
	show_text("pubkey", h->pubkey, out);
	if (h->asks_binding)
		buf_put_str(out, " binds");
	show_text("binding", h->channel_binding, out);
}

static void show_value(enum serializer s, const char *name, struct slice value,
		       struct buf *out)
{
	struct buf shown;

	buf_init(&shown, 10000);
	show_items(s, value, 1, &shown);
	buf_printf(out, " %s=", name);
	buf_put_slice(out, slice_trim(buf_slice(&shown)));
	buf_fini(&shown);
}

static void show_filters(enum serializer s, const struct msg *m, struct buf *out)
{
	static const char *const names[] = {
#define X(id, name) name,
		MSG_FILTERS(X)
#undef X
	};

	for (unsigned i = 0; i < MSG_FILTER_COUNT; i++)
		if ((m->filters & 1u << i) != 0)
			show_value(s, names[i], m->filter[i], out);
}

static void show_passthru(enum serializer s, const struct msg *m, struct buf *out)
{
	for (unsigned i = 0; i < MSG_PASSTHRU_COUNT; i++)
		if ((m->passthru & 1u << i) != 0)
			show_value(s, msg_passthru_names[i], m->passthru_value[i], out);
}

static void show_msg(enum serializer s, const struct msg *m, struct buf *out)
{
	buf_clear(out);
	buf_put_str(out, wamp_type_name(m->type));
	if (m->request != 0)
		buf_printf(out, " %" PRIu64, m->request);
	if (m->id != 0)
		buf_printf(out, " id=%" PRIu64, m->id);
	if (m->error_type != 0)
		buf_printf(out, " type=%s", wamp_type_name(m->error_type));
	show_text("uri", m->uri, out);
	show_text("text", m->text, out);
	show_text("match", m->match, out);
	show_text("invoke", m->invoke, out);
	if (m->acknowledge)
		buf_put_str(out, " acknowledge");
	if (!m->exclude_me)
		buf_put_str(out, " include_me");
	if (m->progress)
		buf_put_str(out, " progress");
	if (m->retain)
		buf_put_str(out, " retain");
	if (m->force)
		buf_put_str(out, " force");
	if (m->receive_progress)
		buf_put_str(out, " receive_progress");
	show_passthru(s, m, out);
	if (m->disclose)
		buf_put_str(out, " disclose");
	show_filters(s, m, out);
	if (m->type == WAMP_HELLO)
		show_hello(s, m->hello, out);
	show_items(s, m->payload.bytes, m->payload.items, out);
	buf_put_u8(out, '\0');
}

/* Reads an exact copy of bytes; appends the message as text to shown, if not NULL. */
static int read_shown(enum serializer s, struct slice bytes, struct buf *shown)
{
	struct slice in = copy_exact(bytes);
	struct msg_hello hello;
	struct msg m = {.hello = &hello};
	struct buf scratch;

	buf_init(&scratch, in.len);
	/* fields that the reader does not set must not show */
	memset(&hello, 0xaa, sizeof(hello));
	m.payload.items = 7;
	m.acknowledge = true;
	int err = msg_read(s, in, &scratch, &m);
	if (err == 0 && shown != NULL)
		show_msg(s, &m, shown);
	assert_ptr_equal(m.hello, &hello);
	buf_fini(&scratch);
	free_copy(in);
	return err;
}

static void check_bytes(enum serializer s, struct slice in, const char *expected)
{
	struct buf shown;

	buf_init(&shown, 10000);
	assert_int_equal(read_shown(s, in, &shown), 0);
	assert_string_equal((char *)shown.data, expected);
	for (size_t len = 0; len < in.len; len++) {
		int err = read_shown(s, slice_of(in.p, len), NULL);

		/* the cut "[4" of "[48" is a type that no client may send */
		assert_true(err == E_TRUNCATED ||
			    (err == E_UNKNOWN && s == SERIALIZER_JSON && len == 2));
	}
	/* one byte too many */
	buf_clear(&shown);
	buf_put_slice(&shown, in);
	buf_put_u8(&shown, '1');
	assert_int_equal(read_shown(s, buf_slice(&shown), NULL), E_TRAILING);
	for (size_t i = 0; i < in.len * 8; i++) {
		buf_clear(&shown);
		buf_put_slice(&shown, in);
		shown.data[i / 8] ^= (uint8_t)(1 << i % 8);
		(void)read_shown(s, buf_slice(&shown), NULL);
	}
	buf_fini(&shown);
}

static void check_msg(enum serializer s, const char *bytes, const char *expected)
{
	struct slice in = sample_bytes(s, bytes);

	check_bytes(s, in, expected);
	free_copy(in);
}

/* The sample in UBJSON. test_ubjson.c compares what is written with the vectors of the
 * specification's project. */
static void check_ubjson(const char *json, const char *expected)
{
	struct buf ubjson;

	buf_init(&ubjson, 2000);
	assert_int_equal(transcode(SERIALIZER_JSON, slice_str(json), 1, SERIALIZER_UBJSON,
				   &ubjson),
			 0);
	check_bytes(SERIALIZER_UBJSON, buf_slice(&ubjson), expected);
	buf_fini(&ubjson);
}

static void test_each_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		check_msg(SERIALIZER_JSON, samples[i].json, samples[i].shown);
		check_msg(SERIALIZER_MSGPACK, samples[i].msgpack, samples[i].shown);
		check_msg(SERIALIZER_CBOR, samples[i].cbor, samples[i].shown);
		check_ubjson(samples[i].json, samples[i].shown);
	}
}

/* Forms of the encodings that only some clients use. */
static void test_unusual_forms(void **state)
{
	(void)state;
	/* white space, escapes also in keys and URIs */
	check_msg(
		SERIALIZER_JSON,
		" [ 16 , 1 , { \"acknowledg\\u0065\" : true } , \"c\\u006fm.\\u00e9\" , "
		"[ 1 ] , { } ]",
		"PUBLISH 1 uri='com.\xc3\xa9' acknowledge [1] {}");
	check_msg(SERIALIZER_JSON,
		  "[32.0,2.0e0,{\"match\":\"pr\\u0065fix\"},\"a\\u002eb\"]",
		  "SUBSCRIBE 2 uri='a.b' match='prefix'");
	/* nexus' client sends nil for absent Arguments; a receiver gets a list */
	check_msg(SERIALIZER_JSON, "[16,1,{},\"\\u0074\",null , {\"a\":[]}]",
		  "PUBLISH 1 uri='t' [] {'a' []}");
	check_msg(SERIALIZER_MSGPACK, "96100180a174c081a16190",
		  "PUBLISH 1 uri='t' [] {'a' []}");
	check_msg(SERIALIZER_CBOR, "861001a06174f7a1616180",
		  "PUBLISH 1 uri='t' [] {'a' []}");
	check_msg(SERIALIZER_JSON, "[48,1,{},\"p\",null]", "CALL 1 uri='p'");
	check_msg(SERIALIZER_JSON, "[70,1,{},null,null]", "YIELD 1");
	check_msg(SERIALIZER_JSON, "[48,1,{},\"p\",[1],null]", "CALL 1 uri='p' [1]");
	/* wampy.js: undefined options, ids as doubles */
	check_msg(SERIALIZER_CBOR,
		  "84182001a2656d61746368f76c6765745f72657461696e6564f76174",
		  "SUBSCRIBE 1 uri='t'");
	check_msg(SERIALIZER_MSGPACK, "94200181a56d61746368d40000a174",
		  "SUBSCRIBE 1 uri='t'");
	check_msg(SERIALIZER_CBOR, "831842fb41f0000000000000fb4340000000000000",
		  "UNREGISTER 4294967296 id=9007199254740992");
	/* indefinite lengths, chunks, tags */
	check_msg(SERIALIZER_CBOR,
		  "9f1001bf7f6b61636b6e6f776c65646765fff5ff7f61636161ff9fff"
		  "bfffff",
		  "PUBLISH 1 uri='ca' acknowledge [] {}");
	check_msg(SERIALIZER_CBOR, "d9d9f7861001a06174c180d9d9f7a0",
		  "PUBLISH 1 uri='t' #[] {}");
	/* counts, no-ops, characters, typed containers */
	check_msg(SERIALIZER_UBJSON, "[#U%05NU%10U%01{#U%01NU%0backnowledgeTCtN[$Z#U%02",
		  "PUBLISH 1 uri='t' acknowledge [null null]");
	check_msg(SERIALIZER_UBJSON, "[U%10NU%01{N}NCtZN{$[#U%01U%01a]N]",
		  "PUBLISH 1 uri='t' [] {'a' []}");
	check_msg(SERIALIZER_UBJSON, "[$I#U%03%00%22%00%07%7b%7d",
		  "UNSUBSCRIBE 7 id=31613");
}

static const struct bad refused[] = {
	/* not a message */
	{"1", E_TYPE},
	{"{}", E_TYPE},
	{"null", E_TYPE},
	{"[]", E_TYPE},
	{"[null]", E_TYPE},
	{"[\"48\"]", E_TYPE},
	{"[true]", E_TYPE},
	{"[-1]", E_TYPE},
	{"[0]", E_TYPE},
	{"[1.5]", E_TYPE},
	{"[[]]", E_TYPE},
	/* messages that no client may send, and unknown types */
	{"[2,1,{}]", E_UNKNOWN},
	{"[4,\"x\",{}]", E_UNKNOWN},
	{"[17,1,2]", E_UNKNOWN},
	{"[33,1,2]", E_UNKNOWN},
	{"[36,1,2,{}]", E_UNKNOWN},
	{"[50,1,{}]", E_UNKNOWN},
	{"[68,1,2,{}]", E_UNKNOWN},
	{"[69,1,{}]", E_UNKNOWN},
	{"[7]", E_UNKNOWN},
	{"[71]", E_UNKNOWN},
	{"[1000000]", E_UNKNOWN},
	{"[9007199254740992]", E_UNKNOWN},
	/* too short, too long */
	{"[48]", E_NOTFOUND},
	{"[48,1]", E_NOTFOUND},
	{"[48,1,{}]", E_NOTFOUND},
	{"[48,1,{},\"p\",[],{},null]", E_TYPE},
	{"[34,1]", E_NOTFOUND},
	{"[34,1,2,{},3]", E_TYPE},
	{"[32,1,{},\"t\",[]]", E_TYPE},
	{"[6,{},\"u\",[]]", E_TYPE},
	{"[5,\"s\"]", E_NOTFOUND},
	{"[5,\"s\",{},1]", E_TYPE},
	{"[49,1]", E_NOTFOUND},
	{"[49,1,{},1]", E_TYPE},
	/* ids */
	{"[48,0,{},\"p\"]", E_TYPE},
	{"[48,9007199254740993,{},\"p\"]", E_TYPE},
	{"[48,-1,{},\"p\"]", E_TYPE},
	{"[48,true,{},\"p\"]", E_TYPE},
	{"[48,\"1\",{},\"p\"]", E_TYPE},
	{"[48,null,{},\"p\"]", E_TYPE},
	{"[48,1.5,{},\"p\"]", E_TYPE},
	{"[34,1,0]", E_TYPE},
	/* URIs, options, payloads of another type */
	{"[48,1,{},1]", E_TYPE},
	{"[48,1,{},null]", E_TYPE},
	{"[48,1,{},\"\\u0000AA==\"]", E_TYPE},
	{"[48,1,[],\"p\"]", E_TYPE},
	{"[48,1,null,\"p\"]", E_TYPE},
	{"[48,1,{},\"p\",{}]", E_TYPE},
	{"[48,1,{},\"p\",1]", E_TYPE},
	{"[48,1,{},\"p\",\"\\u0000AA==\"]", E_TYPE},
	{"[48,1,{},\"p\",[],[]]", E_TYPE},
	{"[48,1,{},\"p\",null,[]]", E_TYPE},
	{"[48,1,{},\"p\",null,{},null]", E_TYPE},
	{"[34,1,2,3]", E_TYPE},
	{"[34,1,2,null]", E_TYPE},
	{"[16,1,{\"acknowledge\":1},\"t\"]", E_TYPE},
	{"[16,1,{\"acknowledge\":\"true\"},\"t\"]", E_TYPE},
	{"[16,1,{\"exclude_me\":0},\"t\"]", E_TYPE},
	{"[32,1,{\"match\":true},\"t\"]", E_TYPE},
	{"[64,1,{\"invoke\":[]},\"t\"]", E_TYPE},
	{"[70,1,{\"progress\":[]}]", E_TYPE},
	/* a binary in place of Arguments needs enc_algo, and ArgumentsKw must not follow
	 */
	{"[48,1,{},\"p\",\"\\u0000AQ==\"]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"\"},\"p\",\"\\u0000AQ==\"]", E_TYPE},
	{"[48,1,{\"enc_algo\":null},\"p\",\"\\u0000AQ==\"]", E_TYPE},
	{"[48,1,{\"enc_key\":\"x\",\"ppt_scheme\":\"x\"},\"p\",\"\\u0000AQ==\"]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",\"AQ==\"]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",7]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",{}]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",\"\\u0000AQ==\",{}]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",\"\\u0000AQ==\",[]]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",\"\\u0000AQ==\",null,1]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",[],\"\\u0000AQ==\"]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",null,\"\\u0000AQ==\"]", E_TYPE},
	{"[48,1,{\"enc_algo\":\"mqtt\"},\"p\",\"\\u0000AQ\"]", E_VALUE},
	{"[48,1,{},\"p\",\"\\u0000AQ\"]", E_TYPE},
	{"[70,1,{\"ppt_scheme\":\"x\",\"ppt_scheme\":\"y\"}]", E_EXISTS},
	{"[48,1,{\"receive_progress\":1},\"p\"]", E_TYPE},
	{"[48,1,{\"timeout\":1,\"timeout\":null},\"p\"]", E_EXISTS},
	/* a known key twice: it would be unclear which one counts */
	{"[16,1,{\"acknowledge\":true,\"acknowledge\":null},\"t\"]", E_EXISTS},
	{"[32,1,{\"match\":\"exact\",\"m\\u0061tch\":\"exact\"},\"t\"]", E_EXISTS},
	{"[6,{\"message\":{}},\"u\"]", E_TYPE},
	{"[5,1,{}]", E_TYPE},
	{"[5,null,{}]", E_TYPE},
	{"[8,\"48\",1,{},\"e\"]", E_TYPE},
	{"[8,0,1,{},\"e\"]", E_TYPE},
	{"[8,1000,1,{},\"e\"]", E_TYPE},
	/* HELLO */
	{"[1,\"r\"]", E_NOTFOUND},
	{"[1,\"r\",{}]", E_NOTFOUND},
	{"[1,\"r\",{\"roles\":null}]", E_TYPE},
	{"[1,\"r\",{\"roles\":[]}]", E_TYPE},
	{"[1,\"r\",{\"roles\":\"caller\"}]", E_TYPE},
	{"[1,1,{\"roles\":{}}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":{}}},1]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authid\":1}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authmethods\":\"ticket\"}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authmethods\":[1]}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authmethods\":[[]]}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authextra\":[]}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authextra\":\"x\"}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authid\":\"joe\",\"authid\":null}]",
	 E_EXISTS},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authextra\":{},\"authextra\":{}}]",
	 E_EXISTS},
	{"[1,\"r\",{\"roles\":{\"caller\":{}},\"authextra\":{\"pubkey\":\"a\","
	 "\"pubkey\":1}}]",
	 E_EXISTS},
	{"[1,\"r\",{\"roles\":{}}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"router\":{}}}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"caller\":true}}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"callee\":{},\"caller\":null}}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"publisher\":[]}}]", E_TYPE},
	{"[1,\"r\",{\"roles\":{\"subscriber\":{},\"subscriber\":{}}}]", E_EXISTS},
	{"[1,\"r\",{\"roles\":{\"callee\":{\"features\":{},\"features\":{}}}}]",
	 E_EXISTS},
	{"[1,\"r\",{\"roles\":{\"callee\":{\"call_canceling\":1,\"call_canceling\":1}}}]",
	 E_EXISTS},
	/* payloads and unknown options are checked completely */
	{"[48,1,{},\"p\",[1,[{\"a\":01}]]]", E_SYNTAX},
	{"[48,1,{\"x\":[{\"a\":tru}]},\"p\"]", E_SYNTAX},
	{"[48,1,{},\"p\",[\"\xff\"]]", E_VALUE},
	{"[48,1,{\"x\":\"\xff\"},\"p\"]", E_VALUE},
	{"[48,1,{\"\xff\":1},\"p\"]", E_VALUE},
	{"[48,1,{},\"\xff\"]", E_VALUE},
	{"[48,1,{},\"p\",[],{}],", E_TRAILING},
	{"[48,1,{},\"p\"][]", E_TRAILING},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		int err = read_shown(SERIALIZER_JSON, slice_str(refused[i].bytes), NULL);

		if (err != refused[i].err)
			fail_msg("%s: %s", refused[i].bytes, err_str(err));
	}
	/* the keys of a dict must be strings */
	struct slice in = sample_bytes(SERIALIZER_MSGPACK, "9430018101c0a170");
	assert_int_equal(read_shown(SERIALIZER_MSGPACK, in, NULL), E_TYPE);
	free_copy(in);
	/* typed options in UBJSON, of which the authorizer could not be told, and a typed
	 * message whose last number looks like a dict */
	in = sample_bytes(SERIALIZER_UBJSON, "[U%10U%01{$T#U%01U%0backnowledgeCt]");
	assert_int_equal(read_shown(SERIALIZER_UBJSON, in, NULL), E_UNSUPPORTED);
	free_copy(in);
	in = sample_bytes(SERIALIZER_UBJSON, "[$I#U%04%00%22%00%07%00%09{}");
	assert_int_equal(read_shown(SERIALIZER_UBJSON, in, NULL), E_UNSUPPORTED);
	free_copy(in);
}

/* Arguments must be a list and ArgumentsKw a dict, whatever other types a serializer has.
 * `before` is a CALL up to its URI, with room for Arguments or for both. */
static void check_payload_types(enum serializer s, const char *before, const char *list,
				const char *dict, const char *const *others)
{
	for (size_t i = 0; others[i] != NULL; i++) {
		for (int kw = 0; kw < 2; kw++) {
			char hex[100];

			snprintf(hex, sizeof(hex), "%02x%s%s%s",
				 (unsigned)(s == SERIALIZER_CBOR ? 0x85 : 0x95) +
					 (unsigned)kw,
				 before, kw ? list : "", others[i]);
			struct slice in = sample_bytes(s, hex);
			if (read_shown(s, in, NULL) != E_TYPE)
				fail_msg("%s", hex);
			free_copy(in);
		}
	}
	char hex[100];
	snprintf(hex, sizeof(hex), "%02x%s%s%s",
		 (unsigned)(s == SERIALIZER_CBOR ? 0x86 : 0x96), before, list, dict);
	struct slice in = sample_bytes(s, hex);
	assert_int_equal(read_shown(s, in, NULL), 0);
	free_copy(in);
}

static void test_payload_types(void **state)
{
	(void)state;
	/* numbers, bytes, texts (also indefinite or tagged), simple values */
	static const char *const cbor[] = {"01",         "20",
					   "40",         "41ff",
					   "58020102",   "5f4101ff",
					   "60",         "6161",
					   "7f6161ff",   "c140",
					   "d818420102", "f4",
					   "f93c00",     "fb3ff0000000000000",
					   NULL};
	/* bin, ext, str, numbers, booleans */
	static const char *const msgpack[] = {
		"01",       "ff", "c400", "c401ff", "c5000101",   "d401ff",
		"c7010501", "a0", "a161", "c2",     "ca3f800000", NULL};

	check_payload_types(SERIALIZER_CBOR, "183001a06170", "80", "a0", cbor);
	check_payload_types(SERIALIZER_MSGPACK, "300180a170", "90", "80", msgpack);
}

/* What msg_read says about a refused message, for the answer and the log. */
static void test_refused_tells(void **state)
{
	static const struct {
		const char *json;
		int err;
		enum wamp_type type;
		uint64_t request;
	} told[] = {
		{"[48,7,{},1]", E_TYPE, WAMP_CALL, 7},
		{"[48,0]", E_TYPE, WAMP_CALL, 0},
		{"[2,7,{}]", E_UNKNOWN, WAMP_WELCOME, 0},
		{"[337,7]", E_UNKNOWN, (enum wamp_type)337, 0},
		{"[5000]", E_UNKNOWN, (enum wamp_type)0, 0},
		{"[true]", E_TYPE, (enum wamp_type)0, 0},
		{"[8,68,9,{},1]", E_TYPE, WAMP_ERROR, 9},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		struct msg_hello hello;
		struct msg m = {.hello = &hello, .request = 99};
		struct buf scratch;

		buf_init(&scratch, 1000);
		assert_int_equal(
			msg_read(SERIALIZER_JSON, slice_str(told[i].json), &scratch, &m),
			told[i].err);
		assert_int_equal(m.type, told[i].type);
		assert_int_equal(m.request, told[i].request);
		buf_fini(&scratch);
	}
	assert_string_equal(wamp_type_name((enum wamp_type)337), "?");
	assert_string_equal(wamp_type_name((enum wamp_type)7), "?");
	assert_string_equal(wamp_type_name((enum wamp_type)0), "?");
}

/* Names beyond the limit are ignored without an error. */
static void test_many_authmethods(void **state)
{
	struct msg_hello hello;
	struct msg m = {.hello = &hello};
	struct buf in, scratch;

	(void)state;
	buf_init(&in, 10000);
	buf_init(&scratch, 10000);
	buf_put_str(&in, "[1,\"r\",{\"roles\":{\"caller\":{}},\"authmethods\":[");
	for (unsigned i = 0; i < 100; i++)
		buf_printf(&in, "%s\"m\\u002d%u\"", i == 0 ? "" : ",", i);
	buf_put_str(&in, "]}]");
	assert_int_equal(msg_read(SERIALIZER_JSON, buf_slice(&in), &scratch, &m), 0);
	assert_int_equal(hello.n_authmethods, WAMP_MAX_AUTHMETHODS);
	/* each was decoded into scratch, and none has moved */
	assert_true(slice_eq_str(hello.authmethods[0], "m-0"));
	assert_true(slice_eq_str(hello.authmethods[15], "m-15"));
	buf_fini(&in);
	buf_fini(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_message),
		cmocka_unit_test(test_unusual_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_payload_types),
		cmocka_unit_test(test_refused_tells),
		cmocka_unit_test(test_many_authmethods),
	};

	return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
