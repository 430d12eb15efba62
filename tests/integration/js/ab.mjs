// SPDX-License-Identifier: Apache-2.0
// autobahn-js as a puppet. CLIENTS names the folder with node_modules.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { XMLHttpRequest } from "./xhr.mjs";
import { cutEmoji, say, serve, stream, wampError } from "./puppet.mjs";

const require = createRequire(process.env.CLIENTS + "/");
const autobahn = require("autobahn");
const nacl = require("tweetnacl");
const { JSONSerializer, MsgpackSerializer, CBORSerializer } = autobahn.serializer;
const SERIALIZERS = { json: JSONSerializer, msgpack: MsgpackSerializer, cbor: CBORSerializer };

globalThis.XMLHttpRequest = XMLHttpRequest;

const sessions = {};

function translate(e) {
	return e instanceof autobahn.Error ? wampError(e.error, e.args, e.kwargs) : e;
}

function result(value) {
	if (value instanceof autobahn.Result) return { args: value.args, kwargs: value.kwargs };
	return { args: value === null || value === undefined ? [] : [value], kwargs: {} };
}

// Autobahn|Python's URLs for RawSocket: rs://host:port and rs://unix:path
function rawsocket(url) {
	const [, host, where] = /^rs:\/\/([^:]+):(.+)$/.exec(url);
	return { type: "rawsocket", ...(host === "unix" ? { path: where } : { host, port: Number(where) }) };
}

serve({
	join(command) {
		return new Promise((resolve, reject) => {
			const options = {
				url: command.url,
				realm: command.realm,
				serializers: [new SERIALIZERS[command.serializer]()],
				max_retries: command.retry ? -1 : 0,
				initial_retry_delay: 0.3,
				max_retry_delay: 1,
				authmethods: ["anonymous"],
			};
			if (command.url.startsWith("rs:")) options.transports = [rawsocket(command.url)];
			if (command.url.startsWith("http:")) options.transports = [{ type: "longpoll", url: command.url }];
			if (command.key) {
				const pair = nacl.sign.keyPair.fromSeed(Buffer.from(command.key, "hex"));
				options.authmethods = ["cryptosign"];
				options.authid = command.authid || undefined;
				options.authextra = { pubkey: Buffer.from(pair.publicKey).toString("hex") };
				options.onchallenge = (session, method, extra) =>
					autobahn.auth_cryptosign.sign_challenge(pair, extra);
			}
			if (command.ticket) {
				options.authmethods = ["ticket"];
				options.authid = command.authid;
				options.onchallenge = () => command.ticket;
			}
			if (command.secret) {
				options.authmethods = ["wampcra"];
				options.authid = command.authid;
				options.onchallenge = (session, method, extra) => {
					const { auth_cra: cra } = autobahn;
					const key = extra.salt
						? cra.derive_key(command.secret, extra.salt, extra.iterations, extra.keylen)
						: command.secret;
					return cra.sign(key, extra.challenge);
				};
			}
			if (command.ca) {
				// with less than these three, autobahn-js ignores them all
				const [ca, cert, key] = [command.ca, command.cert, command.cert_key].map((f) => readFileSync(f));
				options.tlsConfiguration = { ca, cert, key };
			}
			const connection = new autobahn.Connection(options);
			let open = false;
			connection.onopen = (session, details) => {
				sessions[command.s] = { session, connection, subs: {}, regs: {}, calls: {} };
				if (open) say({ ev: "rejoined", s: command.s, session: session.id });
				open = true;
				delete details.transport;
				resolve({ ...details, session: session.id, realm: session.realm });
			};
			connection.onclose = (reason, details) => {
				if (open) say({ ev: "left", s: command.s, reason: details.reason, why: reason });
				else if (!command.retry) reject(wampError(details.reason || reason, [details.message]));
				return false;
			};
			connection.open();
		});
	},
	async subscribe(command) {
		const { session, subs } = sessions[command.s];
		subs[command.topic] = await session.subscribe(command.topic, (args, kwargs, details) => {
			const publisher = [details.publisher, details.publisher_authid, details.publisher_authrole];
			say({ ev: "event", s: command.s, topic: command.topic, args: args || [], kwargs: kwargs || {}, publisher,
				matched: details.topic, retained: details.retained === true });
		}, command.options || {}).catch((e) => { throw translate(e); });
	},
	async unsubscribe(command) {
		await sessions[command.s].subs[command.topic].unsubscribe();
	},
	async register(command) {
		const { session, regs } = sessions[command.s];
		regs[command.proc] = await session.register(command.proc, (args, kwargs, details) => {
			if (command.kind === "identify")
				return [details.caller ?? null, details.caller_authid ?? null, details.caller_authrole ?? null];
			if (command.kind === "procedure") return details.procedure;
			if (command.kind === "fail") throw new autobahn.Error("com.example.failed", args, kwargs);
			if (command.kind === "slow") {
				say({ ev: "invoked", s: command.s });
				return new Promise((resolve) => setTimeout(() => {
					say({ ev: "done", s: command.s });
					resolve(null);
				}, args[0]));
			}
			if (command.kind === "stream") {
				say({ ev: "invoked", s: command.s });
				return stream(args, details.progress && ((i) => details.progress([i])))
					.finally(() => say({ ev: "done", s: command.s }));
			}
			if (command.kind === "invalid") {
				if (args[0] === "throw") throw new autobahn.Error("com.example.failed", [cutEmoji()]);
				return cutEmoji();
			}
			return new autobahn.Result(args, kwargs);
		}, command.options || {}).catch((e) => { throw translate(e); });
	},
	async unregister(command) {
		await sessions[command.s].regs[command.proc].unregister();
	},
	async publish(command) {
		const publication = sessions[command.s].session.publish(
			command.topic, command.args, command.kwargs, command.options || {});
		if (command.options && command.options.acknowledge)
			return (await publication.catch?.((e) => { throw translate(e); }) ?? await publication).id;
	},
	async call(command) {
		const { session, calls } = sessions[command.s];
		try {
			calls[command.proc] = session.call(
				command.proc, command.args, command.kwargs, command.options || {});
			calls[command.proc].then(undefined, () => {}, (value) =>
				say({ ev: "progress", s: command.s, ...result(value) }));
			return result(await calls[command.proc]);
		} catch (e) {
			throw translate(e);
		}
	},
	cancel(command) {
		sessions[command.s].calls[command.proc].cancel(command.options);
	},
	leave(command) {
		sessions[command.s].connection.close();
	},
});
