// SPDX-License-Identifier: Apache-2.0
// The part of XMLHttpRequest that autobahn-js uses for long-poll; Node has none. Like a browser's,
// it reuses connections.
import http from "node:http";

const agent = new http.Agent({ keepAlive: true });

export class XMLHttpRequest {
	#headers = {};
	readyState = 0;
	status = 0;
	statusText = "";
	responseText = "";

	open(method, url) {
		this.method = method;
		this.url = url;
	}

	setRequestHeader(name, value) {
		this.#headers[name] = value;
	}

	send(body = "") {
		const headers = { ...this.#headers, "Content-Length": Buffer.byteLength(body) };
		const request = http.request(this.url, { method: this.method, headers, agent }, (response) => {
			response.setEncoding("utf8");
			response.on("data", (text) => { this.responseText += text; });
			response.on("end", () => this.#done(response.statusCode, response.statusMessage));
		});
		if (this.timeout) {
			const timer = setTimeout(() => { request.destroy(); this.ontimeout?.(); }, this.timeout);
			request.on("close", () => clearTimeout(timer));
		}
		request.on("error", () => this.#done(0, ""));
		request.end(body);
	}

	#done(status, text) {
		this.readyState = 4;
		this.status = status;
		this.statusText = text;
		this.onreadystatechange();
	}
}
