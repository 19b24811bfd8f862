import RuleEngine

/// What code that waits has asked for.
enum PluginRequest: Sendable {
    case http(HTTPCall)
    case publish(topic: String, payload: [UInt8], qos: UInt8, retain: Bool)
}

/// A Lua state with a plugin's `init.lua` loaded. One owner at a time: whoever has one guards it.
final class PluginState {
    let lua: LuaState
    private var functions: [PluginManifest.Provision.Kind: [String: LuaFunction]] = [:]
    /// Of a decoder.
    var memory = DecoderMemory()
    /// Of the coroutine that ran last and waits now.
    private var request: PluginRequest?

    /// The keys of what `plugin {…}` is given.
    private static let kinds: [(key: String, kind: PluginManifest.Provision.Kind)] = [
        ("decoders", .decoder), ("functions", .function), ("channels", .channel), ("actions", .action),
    ]

    /// - Parameters:
    ///   - source: the text of `init.lua`.
    ///   - config: the plugin's settings, as the global `config`.
    ///   - log: takes level and message.
    init(
        _ manifest: PluginManifest, source: String, config: LuaValue, rights: PluginRights, limits: LuaLimits,
        log: @escaping @Sendable (String, String) -> Void
    ) throws(PluginFailure) {
        lua = LuaState(limits: limits)
        lua.set("config", config)
        lua.defineJSON()
        lua.defineBase64()
        defineOutside(rights)
        defineMemory()
        for level in ["debug", "info", "warning", "error"] {
            lua.define("log.\(level)") { call in
                log(level, call.arguments.map { $0.text ?? $0.document.plainText }.joined(separator: " "))
                return .nothing
            }
        }
        var provided: LuaValue?
        lua.define("plugin", takesFunctions: true) { call in
            guard provided == nil else { return .raise("plugin is called once") }
            guard call[0].members != nil else { return .raise("plugin takes a table: plugin { decoders = { name = decode } }") }
            provided = call[0]
            return .nothing
        }
        let file = "\(manifest.folder)/init.lua"
        do {
            try lua.load(PluginLibrary.source, name: PluginLibrary.name)
            try lua.load(source.hasPrefix("#") ? "--" + source : source, name: file)
        } catch { throw Self.failure(error, in: file) }
        lua.define("plugin") { _ in .raise("plugin is called once, while the file is loaded") }
        try take(provided, manifest, file)
    }

    private static func failure(_ failure: LuaFailure, in file: String) -> PluginFailure {
        let place = SourceLocation(file: failure.file.isEmpty ? file : failure.file, line: max(1, failure.line), column: 1)
        return PluginFailure(failure.message, at: place)
    }

    /// What was given must be what the manifest says, no more and no less.
    private func take(_ provided: LuaValue?, _ manifest: PluginManifest, _ file: String) throws(PluginFailure) {
        let top = SourceLocation(file: file, line: 1, column: 1)
        guard let provided else { throw PluginFailure("a plugin must call plugin { … } with what it provides", at: top) }
        for member in provided.members ?? [] where !Self.kinds.contains(where: { $0.key == member.name }) {
            throw PluginFailure("plugin {…} has no '\(member.name)': it has decoders, functions, channels and actions", at: top)
        }
        for (key, kind) in Self.kinds {
            let promised = manifest.provisions(kind)
            for member in provided[key]?.members ?? [] {
                guard let function = member.value.function else {
                    throw PluginFailure("'\(member.name)' in '\(key)' must be a function, not a \(member.value.typeName)", at: top)
                }
                guard promised.contains(where: { $0.name == member.name }) else {
                    throw PluginFailure("the manifest says nothing of the \(kind.rawValue) '\(member.name)'", at: top)
                }
                functions[kind, default: [:]][member.name] = function
            }
            if let missing = promised.first(where: { functions[kind]?[$0.name] == nil }) {
                throw PluginFailure(
                    "the manifest promises the \(kind.rawValue) '\(missing.name)', and init.lua does not provide it", at: missing.location)
            }
        }
    }

    /// There for everything that the manifest promises.
    func function(_ kind: PluginManifest.Provision.Kind, _ name: String) -> LuaFunction? { functions[kind]?[name] }

    // MARK: Memory

    private func defineMemory() {
        lua.define("memory.get") { [unowned self] call in
            guard let group = call[0].text, let key = call[1].key else { return .raise("memory.get takes a group and a key") }
            return memory.value(of: key, in: group).map { .value(LuaValue($0)) } ?? .nothing
        }
        lua.define("memory.set") { [unowned self] call in
            guard let group = call[0].text, let key = call[1].key else { return .raise("memory.set takes a group, a key and a value") }
            let value = call[2].isNone ? nil : call[2].document
            guard memory.set(key, in: group, to: value) else {
                return .results([.none, .string("the value is larger than 4 KiB, or the decoder remembers too much already")])
            }
            return .value(.bool(true))
        }
        lua.define("memory.clear") { [unowned self] call in
            guard let group = call[0].text else { return .raise("memory.clear takes a group") }
            memory.clear(group)
            return .nothing
        }
    }

    // MARK: The outside

    private func defineOutside(_ rights: PluginRights) {
        lua.define("http.request") { [unowned self] call in send(Self.call(call[0]), rights, call) }
        for method in ["GET", "POST"] {
            lua.define("http.\(method.lowercased())") { [unowned self] call in
                let own = [LuaValue.Member("method", .string(method)), LuaValue.Member("url", call[0])]
                let options = (call[1].members ?? []).filter { $0.name != "method" && $0.name != "url" }
                return send(Self.call(.object(own + options)), rights, call)
            }
        }
        lua.define("mqtt.publish") { [unowned self] call in
            guard let topic = call[0].text, let payload = call[1].payload else {
                return .raise("mqtt.publish takes a topic and a payload")
            }
            let options = call[2]
            let qos = options["qos"]?.integer ?? 0
            guard (0...2).contains(qos) else { return .raise("mqtt.publish: 'qos' must be 0, 1 or 2") }
            let request = PluginRequest.publish(
                topic: topic, payload: payload, qos: UInt8(qos), retain: options["retain"]?.flag ?? false)
            return wait(request, rights.refusal(topic: topic), call)
        }
    }

    private func send(_ request: Result<HTTPCall, FunctionMistake>, _ rights: PluginRights, _ call: LuaCall) -> LuaAnswer {
        switch request {
        case .failure(let mistake): return .raise(mistake.message)
        case .success(let request):
            guard let host = URLHost.of(request.url) else {
                return .raise("http: the URL must begin with http:// or https:// and name a host, without a name and password in it")
            }
            return wait(.http(request), rights.refusal(host: host), call)
        }
    }

    private func wait(_ request: PluginRequest, _ refusal: String?, _ call: LuaCall) -> LuaAnswer {
        guard call.mayWait else { return .raise("only channels and actions can reach the outside, and not while the plugin is loaded") }
        if let refusal { return .raise(refusal) }
        self.request = request
        return .wait
    }

    /// `{method, url, headers, body, timeout}`
    private static func call(_ options: LuaValue) -> Result<HTTPCall, FunctionMistake> {
        guard let url = options["url"]?.text else { return .failure(FunctionMistake("http.request needs 'url'")) }
        var call = HTTPCall(method: (options["method"]?.text ?? "GET").uppercased(), url: url)
        for member in options["headers"]?.members ?? [] {
            guard let value = member.value.payload else {
                return .failure(FunctionMistake("http.request: the header '\(member.name)' must be a string"))
            }
            call.headers.append((member.name, String(decoding: value, as: UTF8.self)))
        }
        switch options["body"] {
        case nil, .some(.none): break
        case .some(let body):
            guard let bytes = body.payload else { return .failure(FunctionMistake("http.request: 'body' must be a string")) }
            call.body = bytes
        }
        if let timeout = options["timeout"]?.number {
            guard timeout > 0, timeout <= 60 else {
                return .failure(FunctionMistake("http.request: 'timeout' must be above 0 and at most 60 seconds"))
            }
            call.timeout = .seconds(timeout)
        }
        return .success(call)
    }

    private struct FunctionMistake: Error {
        var message: String
        init(_ message: String) { self.message = message }
    }

    // MARK: Running what may wait

    enum Step: Sendable {
        case done([LuaValue])
        case waiting(LuaThread, PluginRequest)
    }

    func start(_ function: LuaFunction, _ write: (LuaWriter) -> Void) throws(LuaFailure) -> Step {
        step(try lua.begin(function, write))
    }

    func resume(_ thread: LuaThread, with answer: PluginAnswer) throws(LuaFailure) -> Step {
        step(try lua.resumeText(thread) { answer.write(to: $0) })
    }

    private func step(_ outcome: LuaState.Outcome) -> Step {
        switch outcome {
        case .done(let values): return .done(values)
        case .waiting(let thread):
            guard let request else { return .done([]) }
            self.request = nil
            return .waiting(thread, request)
        }
    }
}

/// What the outside said.
enum PluginAnswer: Sendable {
    case response(status: Int, headers: [(name: String, value: String)], body: [UInt8])
    case published
    case failure(String)

    func write(to writer: LuaWriter) {
        switch self {
        case .published: writer.bool(true)
        case .failure(let reason):
            writer.nothing()
            writer.string(reason)
        case .response(let status, let headers, let body): writer.response(status, headers, body)
        }
    }
}

extension LuaValue {
    /// As a key of a decoder's memory: numbers are written out.
    fileprivate var key: String? { text ?? integer.map { "\($0)" } }
}
