import Foundation
import RuleEngine

/// Requests of scripts: to hosts that the configuration allows, and through redirects to such hosts alone.
struct ScriptHTTP: Sendable {
    let requests: any HTTPRequesting
    let hosts: [HostPattern]

    private static let mostRedirects = 5
    /// As long as a string of a script may be.
    private static let longestBody = 1 << 20
    /// What is meant for one host is not told to another.
    private static let personal: Set<String> = ["authorization", "cookie", "proxy-authorization"]

    func send(_ call: HTTPCall) async -> ScriptAnswer {
        let end = ContinuousClock.now + call.timeout
        var call = call
        for _ in 0...Self.mostRedirects {
            call.timeout = max(.milliseconds(1), ContinuousClock.now.duration(to: end))
            switch await requests.send(call) {
            case .refused(let reason), .noResponse(let reason, _): return .failed(reason)
            case .response(let status, let headers, let body):
                guard let location = Self.redirect(status, headers) else {
                    guard body.count < Self.longestBody else { return .failed("the answer has \(Self.longestBody) bytes or more") }
                    return .response(status: status, headers: headers, body: body)
                }
                switch follow(call, status, to: location) {
                case .success(let next): call = next
                case .failure(let refusal): return .failed(refusal.reason)
                }
            }
        }
        return .failed("more than \(Self.mostRedirects) redirects")
    }

    private struct Refusal: Error {
        var reason: String
    }

    private static func redirect(_ status: Int, _ headers: [(name: String, value: String)]) -> String? {
        [301, 302, 303, 307, 308].contains(status) ? headers.first { $0.name == "location" }?.value : nil
    }

    private func follow(_ call: HTTPCall, _ status: Int, to location: String) -> Result<HTTPCall, Refusal> {
        guard let target = URL(string: location, relativeTo: URL(string: call.url))?.absoluteURL.absoluteString,
            let host = URLHost.of(target)
        else { return .failure(Refusal(reason: "a redirect leads to what is no address")) }
        guard hosts.contains(where: { $0.matches(host) }) else {
            return .failure(
                Refusal(reason: "a redirect leads to '\(host)', which the configuration does not name (scripts.http.hosts)"))
        }
        guard !(call.url.lowercased().hasPrefix("https:") && target.lowercased().hasPrefix("http:")) else {
            return .failure(Refusal(reason: "a redirect leads from https to http at '\(host)'"))
        }
        var next = call
        next.url = target
        // RFC 9110 §15.4.4, and what every client does with the older two.
        if status == 303 || status < 303 && call.method == "POST" {
            next.method = "GET"
            next.body = []
            next.headers.removeAll { $0.name.lowercased() == "content-type" }
        }
        if host != URLHost.of(call.url) { next.headers.removeAll { Self.personal.contains($0.name.lowercased()) } }
        return .success(next)
    }
}
