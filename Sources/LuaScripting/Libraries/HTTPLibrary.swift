internal import RuleEngine

/// `http.get`, `http.post`, `http.request`: the handler waits for the answer, nothing else does.
extension AutomationRuntime {
    private static let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    private static let longestTimeout = 60.0
    private static let longestBody = 1 << 20
    private static let options = "there are headers, body and timeout"

    func defineHTTP(_ automation: Automation) {
        define(automation, "http.get") { runtime, automation, call in
            runtime.send(method: "GET", call[0], call[1].isNone ? .object([]) : call[1], automation, call)
        }
        define(automation, "http.post") { runtime, automation, call in
            runtime.send(method: "POST", call[0], call[1].isNone ? .object([]) : call[1], automation, call)
        }
        define(automation, "http.request") { runtime, automation, call in
            guard let members = call[0].members else { return .raise("wants a table: { method =, url =, headers =, body =, timeout = }") }
            guard let name = (call[0]["method"] ?? .string("GET")).text?.uppercased(), Self.methods.contains(name) else {
                return .raise("'method' must be one of \(Self.methods.joined(separator: ", "))")
            }
            let rest = members.filter { $0.name != "method" && $0.name != "url" }
            return runtime.send(method: name, call[0]["url"] ?? .none, .object(rest), automation, call)
        }
    }

    private func send(method: String, _ url: LuaValue, _ options: LuaValue, _ automation: Automation, _ call: LuaCall) -> LuaAnswer {
        guard let url = url.text, let host = URLHost.of(url) else {
            return .raise("the URL must begin with http:// or https:// and name a host, without a name and password in it")
        }
        var request = HTTPCall(method: method, url: url)
        guard let members = options.members else { return .raise("the options must be a table: \(Self.options)") }
        do throws(ArgumentMistake) {
            for option in members { try Self.set(option, of: &request) }
        } catch { return .raise(error.message) }
        guard settings.hosts.contains(where: { $0.matches(host) }) else {
            return .failed("'\(host)' may not be reached: the configuration does not name it (scripts.http.hosts)")
        }
        return ask(.http(request), automation, call)
    }

    private static func set(_ option: LuaValue.Member, of request: inout HTTPCall) throws(ArgumentMistake) {
        switch option.name {
        case "headers":
            for (name, value) in try option.value.texts("headers").sorted(by: { $0.key < $1.key }) {
                request.headers.append((name, value))
            }
        case "body":
            switch option.value {
            case .array, .object:
                request.body = Array(option.value.document.json.utf8)
                if request.header("content-type") == nil { request.headers.append(("content-type", "application/json")) }
            default:
                guard let bytes = option.value.payload else { throw ArgumentMistake("'body' must be a text, or a table to send as JSON") }
                request.body = bytes
            }
            guard request.body.count <= longestBody else { throw ArgumentMistake("'body' has more than \(longestBody) bytes") }
        case "timeout":
            guard let nanoseconds = option.value.nanoseconds, Double(nanoseconds) <= longestTimeout * 1e9 else {
                throw ArgumentMistake("'timeout' must be a duration of at most 60 s")
            }
            request.timeout = .nanoseconds(nanoseconds)
        default: throw ArgumentMistake("there is no option '\(option.name)': \(Self.options)")
        }
    }
}
