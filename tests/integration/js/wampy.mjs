// SPDX-License-Identifier: Apache-2.0
// wampy.js as a puppet. CLIENTS names the folder with node_modules.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { cutEmoji, say, serve, stream, wampError } from "./puppet.mjs";

const require = createRequire(process.env.CLIENTS + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const module = (m) => m.default?.default ?? m.default ?? m;
const { Wampy } = await load("wampy");
const WebSocket = require("ws");
const SERIALIZERS = {
	json: (await load("wampy/JsonSerializer.js")),
	msgpack: (await load("wampy/MsgpackSerializer.js")),
	cbor: (await load("wampy/CborSerializer.js")),
};
const cryptosign = await load("wampy/cryptosign.js");
const wampcra = await load("wampy/wampcra.js");
const nacl = require("tweetnacl");

const sessions = {};
const calls = {}; // the request id of the last call, by session and procedure

function pick(m, name) {
	return m[name] ?? m.default?.[name] ?? module(m);
}

function translate(e) {
	if (e && e.errorUri) return wampError(e.errorUri, e.argsList || [], e.argsDict || {});
	if (e && e.error) return wampError(String(e.error), e.argsList || [], e.argsDict || {});
	return e;
}

function payload(command) {
	return { argsList: command.args || [], argsDict: command.kwargs || {} };
}

// wampy takes a subscription with empty options for another one than without options.
const optionsOf = (command) => (Object.keys(command.options || {}).length > 0 ? command.options : undefined);

serve({
	async join(command) {
		const name = { json: "JsonSerializer", msgpack: "MsgpackSerializer", cbor: "CborSerializer" }[command.serializer];
		const Serializer = pick(SERIALIZERS[command.serializer], name);
		const options = {
			realm: command.realm,
			ws: WebSocket,
			serializer: new Serializer(),
			payloadSerializers: {
				json: new (pick(SERIALIZERS.json, "JsonSerializer"))(),
				cbor: new (pick(SERIALIZERS.cbor, "CborSerializer"))(),
			},
			autoReconnect: false,
			uriValidation: "loose",
			onClose: () => say({ ev: "lost", s: command.s }),
		};
		if (command.key) {
			const pair = nacl.sign.keyPair.fromSeed(Buffer.from(command.key, "hex"));
			options.authid = command.authid || null;
			options.authmethods = ["cryptosign"];
			options.authextra = { pubkey: Buffer.from(pair.publicKey).toString("hex") };
			options.authMode = "auto";
			options.authPlugins = { cryptosign: pick(cryptosign, "sign")(command.key) };
		}
		if (command.ticket) {
			options.authid = command.authid;
			options.authmethods = ["ticket"];
			options.onChallenge = () => command.ticket;
		}
		if (command.secret) {
			options.authid = command.authid;
			options.authmethods = ["wampcra"];
			options.authMode = "auto";
			options.authPlugins = { wampcra: pick(wampcra, "sign")(command.secret) };
		}
		const client = new Wampy(command.url, options);
		// wampy has no option for this, and refuses nothing that it has not announced itself
		if (command.announce) client._wamp_features.roles.caller.features[command.announce] = true;
		let details;
		try {
			details = await client.connect();
		} catch (e) {
			throw translate(e);
		}
		sessions[command.s] = client;
		return { ...details, session: client.getSessionId() };
	},
	async subscribe(command) {
		try {
			await sessions[command.s].subscribe(command.topic, ({ argsList, argsDict, details }) => {
				const publisher = [details.publisher, details.publisher_authid, details.publisher_authrole];
				say({ ev: "event", s: command.s, topic: command.topic, args: argsList || [], kwargs: argsDict || {}, publisher,
					matched: details.topic ?? null, scheme: details.ppt_scheme ?? null,
					retained: details.retained === true });
			}, optionsOf(command));
		} catch (e) {
			throw translate(e);
		}
	},
	async unsubscribe(command) {
		await sessions[command.s].unsubscribe(command.topic);
	},
	async register(command) {
		try {
			await sessions[command.s].register(command.proc, ({ argsList, argsDict, details, result_handler }) => {
				if (command.kind === "identify")
					return { argsList: [[
						details.caller ?? null, details.caller_authid ?? null, details.caller_authrole ?? null]] };
				if (command.kind === "procedure") return { argsList: [details.procedure] };
				if (command.kind === "fail")
					throw { error: "com.example.failed", details: {}, argsList, argsDict };
				if (command.kind === "slow") {
					say({ ev: "invoked", s: command.s });
					return new Promise((resolve) => setTimeout(() => {
						say({ ev: "done", s: command.s });
						resolve({});
					}, argsList[0]));
				}
				if (command.kind === "stream") {
					say({ ev: "invoked", s: command.s });
					const send = (i) => result_handler({ argsList: [i], options: { progress: true } });
					return stream(argsList, send).then((count) => ({ argsList: [count] }))
						.finally(() => say({ ev: "done", s: command.s }));
				}
				if (command.kind === "invalid") {
					if (argsList?.[0] === "throw")
						throw { error: "com.example.failed", details: {}, argsList: [cutEmoji()] };
					return { argsList: [cutEmoji()] };
				}
				// the answer is encoded like the call
				const options = Object.fromEntries(Object.entries(details).filter(([k]) => k.startsWith("ppt_")));
				return { argsList: argsList || [], argsDict: argsDict || {}, options };
			}, optionsOf(command));
		} catch (e) {
			throw translate(e);
		}
	},
	async unregister(command) {
		await sessions[command.s].unregister(command.proc);
	},
	async publish(command) {
		// wampy always sets acknowledge
		const options = { ...command.options };
		delete options.acknowledge;
		const done = await sessions[command.s].publish(command.topic, payload(command), options);
		return done.publicationId;
	},
	async call(command) {
		const client = sessions[command.s];
		try {
			const { receive_progress, ...options } = command.options || {};
			if (receive_progress)
				options.progress_callback = ({ argsList, argsDict }) =>
					say({ ev: "progress", s: command.s, args: argsList || [], kwargs: argsDict || {} });
			const called = client.call(command.proc, payload(command), options);
			calls[command.s + " " + command.proc] = client.getOpStatus().reqId;
			const { argsList, argsDict } = await called;
			return { args: argsList || [], kwargs: argsDict || {} };
		} catch (e) {
			throw translate(e);
		}
	},
	// Sends each of the arguments in a chunk of its own.
	async upload(command) {
		try {
			const chunks = command.args.map((value) => ({ argsList: [value], argsDict: {} }));
			const progress_callback = ({ argsList }) => say({ ev: "progress", s: command.s, args: argsList || [] });
			const { result, sendData } = sessions[command.s].progressiveCall(command.proc, chunks[0], { progress_callback });
			chunks.slice(1).forEach((chunk, i) => sendData(chunk, { progress: i + 2 < chunks.length }));
			const { argsList, argsDict } = await result;
			return { args: argsList || [], kwargs: argsDict || {} };
		} catch (e) {
			throw translate(e);
		}
	},
	cancel(command) {
		sessions[command.s].cancel(calls[command.s + " " + command.proc], command.options);
	},
	async leave(command) {
		await sessions[command.s].disconnect();
	},
});
