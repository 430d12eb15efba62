// SPDX-License-Identifier: Apache-2.0
// The code that the two JavaScript puppets share: JSON commands on stdin, answers and
// events on stdout (see peers.py). Bytes travel as {"$bin": hex}.
import { Console } from "node:console";
import { once } from "node:events";
import { Socket } from "node:net";
import readline from "node:readline";

// stdout carries the protocol, so what the libraries print goes to stderr
globalThis.console = new Console(process.stderr, process.stderr);

export function toJson(value) {
	if (typeof value === "bigint") return Number(value);
	if (value instanceof Uint8Array) return { $bin: Buffer.from(value).toString("hex") };
	if (value instanceof ArrayBuffer) return { $bin: Buffer.from(value).toString("hex") };
	if (Array.isArray(value)) return value.map(toJson);
	if (value !== null && typeof value === "object")
		return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, toJson(v)]));
	return value;
}

export function fromJson(value) {
	if (Array.isArray(value)) return value.map(fromJson);
	if (value !== null && typeof value === "object") {
		const keys = Object.keys(value);
		if (keys.length === 1 && keys[0] === "$bin") return Buffer.from(value.$bin, "hex");
		return Object.fromEntries(keys.map((k) => [k, fromJson(value[k])]));
	}
	return value;
}

// a string that was cut within a character, which is not valid Unicode
export function cutEmoji() {
	return "\u{1f600}".slice(0, 1);
}

export function say(message) {
	process.stdout.write(JSON.stringify(toJson(message)) + "\n");
}

const sockets = new Set(); // those that are not closed
const { connect } = Socket.prototype;
Socket.prototype.connect = function (...args) {
	sockets.add(this);
	this.once("close", () => sockets.delete(this));
	return connect.apply(this, args);
};

// closes all connections, so that the process can serve another test
async function reset() {
	await Promise.all([...sockets].map((socket) => {
		socket.destroy();
		return once(socket, "close");
	}));
}

// operations: {name: async (command) => result}; an Error with .wamp becomes a WAMP error
export function serve(operations) {
	const lines = readline.createInterface({ input: process.stdin });
	lines.on("line", async (line) => {
		const command = fromJson(JSON.parse(line));
		try {
			const ok = await (command.op === "reset" ? reset() : operations[command.op](command));
			say({ id: command.id, ok: ok === undefined ? null : ok });
		} catch (e) {
			say({ id: command.id, err: e.wamp || { uri: "test.exception", args: [String(e && e.stack || e)], kwargs: {} } });
		}
	});
	lines.on("close", () => process.exit(0));
}

// calls send(0), send(1), ... at this interval, then returns the count; send may be null
export async function stream([count, ms], send) {
	for (let i = 0; i < count; i++) {
		if (send) send(i);
		await new Promise((resolve) => setTimeout(resolve, ms));
	}
	return count;
}

export function wampError(uri, args, kwargs) {
	const e = new Error(uri);
	e.wamp = { uri, args: args || [], kwargs: kwargs || {} };
	return e;
}
