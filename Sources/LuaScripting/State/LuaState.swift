internal import CLuaSandbox
internal import RuleEngine

typealias Sandbox = sandbox

/// One Lua 5.4 in a sandbox: no files, no processes, no bytecode, bounded in time, memory and depth, and the same in every run.
///
/// Not thread safe: one owner at a time. Host functions run inside a call of it and must not call back into it.
///
/// Lua raises errors with longjmp, which must not cross Swift frames: all of that stays in the C target CLuaSandbox, which hands values over in a
/// buffer (`LuaWriter`, `LuaReader`).
public final class LuaState {
    let sandbox: UnsafeMutablePointer<Sandbox>
    private var functions: [HostFunction] = []
    /// `name` of globals, `library.name` of what stands in libraries, and of methods.
    private var names = LuaState.ownNames
    public let limits: LuaLimits

    private typealias HostFunction = (LuaCall) -> LuaAnswer

    /// - Parameter seed: where `math.random` begins.
    public init(limits: LuaLimits = LuaLimits(), seed: UInt64 = 0) {
        self.limits = limits
        let bounds = sandbox_limits(
            instructions: max(1, limits.instructions), wall_time: limits.wallTime.map { max(1, $0.inNanoseconds) } ?? 0,
            memory: max(64 << 10, limits.memory), string_length: max(256, limits.stringLength), exchange: max(256, limits.exchange))
        let call: sandbox_host = { user, function, count in
            // The state is alive: it is calling.
            Unmanaged<LuaState>.fromOpaque(user.unsafelyUnwrapped).takeUnretainedValue().call(Int(function), Int(count))
        }
        // 64 KiB are enough for an empty state; without memory on the machine there is nobody to tell.
        guard let made = sandbox_new(bounds, seed, call, nil) else { fatalError("no memory for a Lua state") }
        sandbox = made
        sandbox.pointee.user = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { sandbox_free(sandbox) }

    /// Bytes that it holds now, and held at most.
    public var memory: Int { sandbox.pointee.memory }
    public var memoryPeak: Int { sandbox.pointee.memory_peak }
    /// Bytes of what was last handed over from Lua.
    public var lastExchange: Int { sandbox.pointee.output.count }
    /// Instructions of the last run.
    public var instructionsUsed: Int64 { sandbox.pointee.used }

    private static let ownNames: [String] =
        ["ipairs", "pairs", "pcall", "print", "select", "tonumber", "tostring", "type", "error", "assert", "setmetatable", "getmetatable"]
        + [
            "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub", "upper", "concat",
            "insert", "pack", "remove", "sort", "unpack", "abs", "ceil", "floor", "max", "min", "random", "sqrt", "decode",
        ].map { "library.\($0)" }

    // MARK: What scripts see

    /// Defines `name` or `library.name`.
    ///
    /// - Parameter takesFunctions: whether functions may be among the arguments, also in tables; who gets one releases it, or keeps it.
    public func define(_ path: String, takesFunctions: Bool = false, _ body: @escaping (LuaCall) -> LuaAnswer) {
        functions.append(body)
        names.append(path)
        _ = sandbox_define(sandbox, path, Int32(functions.count - 1), takesFunctions)
    }

    /// Defines what gives a device's configuration, by its name, to whoever looks at `config` of a message.
    public func defineConfiguration(_ body: @escaping (LuaCall) -> LuaAnswer) {
        functions.append(body)
        sandbox.pointee.configuration_function = Int32(functions.count - 1)
    }

    /// Defines a method of the handles of a kind; the handle is the first argument.
    public func defineMethod(_ name: String, ofKind kind: Int32, named kindName: String, _ body: @escaping (LuaCall) -> LuaAnswer) {
        functions.append(body)
        names.append("\(kindName).\(name)")
        _ = sandbox_define_method(sandbox, kind, kindName, name, Int32(functions.count - 1))
    }

    /// Sets `name` or `library.name` to a value.
    public func set(_ path: String, _ value: LuaValue) {
        sandbox_clear(sandbox_input_bytes(sandbox))
        writer.value(value)
        _ = sandbox_set(sandbox, path)
    }

    /// The value of a global; throws when it holds what cannot be handed over (a function).
    public func get(_ name: String) throws(LuaFailure) -> LuaValue {
        guard sandbox_get(sandbox, name) else { throw LuaFailure(message: "'\(name)': \(text(of: sandbox.pointee.message))") }
        return results().first ?? .none
    }

    // MARK: Running

    public enum Outcome: Sendable {
        case done([LuaValue])
        /// Until `resume`.
        case waiting(LuaThread)
    }

    /// Runs a text as a file: never bytecode.
    ///
    /// - Parameter name: as errors show it.
    /// - Returns: what it returns.
    @discardableResult
    public func load(_ text: String, name: String) throws(LuaFailure) -> [LuaValue] {
        guard case .done(let values) = try load(text, name: name, mayWait: false) else { return [] }
        return values
    }

    /// The same for a text that may wait, as one typed at a prompt may.
    public func load(_ text: String, name: String, mayWait: Bool) throws(LuaFailure) -> Outcome {
        var text = text
        var thread: Int32 = 0
        let status = text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) {
                sandbox_load(sandbox, $0.baseAddress ?? nil, $0.count, "@" + name, true, mayWait, &thread)
            }
        }
        return try outcome(status, thread, wantsResults: true)
    }

    /// Calls a function; it must not wait.
    @discardableResult
    public func call(_ function: LuaFunction, _ write: (LuaWriter) -> Void = { _ in }) throws(LuaFailure) -> [LuaValue] {
        begin(write)
        var thread: Int32 = 0
        let status = sandbox_call(sandbox, function.reference, true, false, &thread)
        guard case .done(let values) = try outcome(status, thread, wantsResults: true) else { return [] }
        return values
    }

    /// Calls a function that may wait, and whose results are wanted.
    public func begin(_ function: LuaFunction, _ write: (LuaWriter) -> Void) throws(LuaFailure) -> Outcome {
        begin(write)
        var thread: Int32 = 0
        let status = sandbox_call(sandbox, function.reference, true, true, &thread)
        return try outcome(status, thread, wantsResults: true)
    }

    /// Calls a function and reads its results where they lie; it must not wait.
    ///
    /// - Parameter read: gets the reader and how many results there are.
    @inline(__always)
    func call<Result>(_ function: LuaFunction, _ write: (LuaWriter) -> Void, read: (inout LuaReader, Int) -> Result) throws(LuaFailure)
        -> Result
    {
        begin(write)
        var thread: Int32 = 0
        let status = sandbox_call(sandbox, function.reference, true, false, &thread)
        _ = try waiting(status, thread)
        var reader = LuaReader(sandbox.pointee.output)
        return read(&reader, Int(sandbox.pointee.output_count))
    }

    /// Calls a global function by name; it must not wait.
    @discardableResult
    public func call(global name: String, _ write: (LuaWriter) -> Void = { _ in }) throws(LuaFailure) -> [LuaValue] {
        begin(write)
        var thread: Int32 = 0
        let status = sandbox_call_named(sandbox, 0, name, true, false, &thread)
        guard case .done(let values) = try outcome(status, thread, wantsResults: true) else { return [] }
        return values
    }

    /// Calls a function as a handler, which may wait and whose results are dropped. Nil: it has ended.
    public func start(_ function: LuaFunction, _ write: (LuaWriter) -> Void) throws(LuaFailure) -> LuaThread? {
        begin(write)
        var thread: Int32 = 0
        let status = sandbox_call(sandbox, function.reference, false, true, &thread)
        return try waiting(status, thread)
    }

    /// Goes on with a handler that waited; what is written is what its wait gives.
    public func resume(_ thread: LuaThread, _ write: (LuaWriter) -> Void = { _ in }) throws(LuaFailure) -> LuaThread? {
        begin(write)
        let status = sandbox_resume(sandbox, thread.reference, false)
        return try waiting(status, thread.reference)
    }

    /// The same for a text that waited.
    public func resumeText(_ thread: LuaThread, _ write: (LuaWriter) -> Void = { _ in }) throws(LuaFailure) -> Outcome {
        begin(write)
        return try outcome(sandbox_resume(sandbox, thread.reference, true), thread.reference, wantsResults: true)
    }

    /// Gives up a handler that waits: nothing of it runs any more.
    public func drop(_ thread: LuaThread) { sandbox_drop(sandbox, thread.reference) }

    public func release(_ function: LuaFunction) { sandbox_release(sandbox, function.reference) }

    public func collectGarbage() { sandbox_collect(sandbox) }

    private var writer: LuaWriter { LuaWriter(bytes: sandbox_input_bytes(sandbox)) }

    @inline(__always)
    private func begin(_ write: (LuaWriter) -> Void) {
        sandbox_clear(sandbox_input_bytes(sandbox))
        write(writer)
    }

    private func results() -> [LuaValue] {
        var reader = LuaReader(sandbox.pointee.output)
        return reader.values(Int(sandbox.pointee.output_count))
    }

    private func outcome(_ status: Int32, _ thread: Int32, wantsResults: Bool) throws(LuaFailure) -> Outcome {
        if let waiting = try waiting(status, thread) { return .waiting(waiting) }
        return .done(wantsResults ? results() : [])
    }

    @inline(__always)
    func waiting(_ status: Int32, _ thread: Int32) throws(LuaFailure) -> LuaThread? {
        if status == SANDBOX_DONE.rawValue { return nil }
        if status == SANDBOX_WAITING.rawValue { return LuaThread(reference: thread) }
        throw failure()
    }

    // MARK: Failures

    private func text(of bytes: sandbox_bytes) -> String {
        String(decoding: UnsafeBufferPointer(start: bytes.base, count: bytes.base == nil ? 0 : bytes.count), as: UTF8.self)
    }

    private func failure() -> LuaFailure {
        let state = sandbox.pointee
        var failure = LuaFailure(
            file: text(of: state.chunk), line: Int(state.line), message: text(of: state.message), traceback: text(of: state.traceback))
        failure.isPlaced = state.is_placed
        switch sandbox_limit(rawValue: UInt32(bitPattern: state.limit)) {
        case SANDBOX_INSTRUCTIONS:
            failure.limit = .instructions
            failure.message = "instruction limit: one run may use \(limits.instructions), and this one would not end"
        case SANDBOX_WALL_TIME:
            failure.limit = .wallTime
            failure.message = "wall time limit: one run may take \(limits.wallTime?.ruleText ?? "no time"), and this one would take longer"
        case SANDBOX_MEMORY:
            failure.limit = .memory
            failure.message = "memory limit: a script may hold \(limits.memory) bytes, and this run asked for more"
        case SANDBOX_STRING_LENGTH:
            failure.limit = .stringLength
            failure.message = "string length limit: a string may have \(limits.stringLength) bytes, and this one would have more"
        case SANDBOX_STOPPED:
            failure.limit = .stopped
            failure.message = "stopped from outside"
        case SANDBOX_HOST_LIMIT: failure.limit = hostLimit
        default: return withHint(failure.placedWhereItBegins)
        }
        return failure
    }

    /// Names what may have been meant where something is called that is not there: `(field 'publsh')`.
    private func withHint(_ failure: LuaFailure) -> LuaFailure {
        let words = "attempt to call a nil value ("
        guard failure.message.hasPrefix(words), failure.message.hasSuffix("')"),
            let quote = failure.message.firstIndex(of: "'")
        else { return failure }
        let name = String(failure.message[failure.message.index(after: quote)...].dropLast(2))
        let isGlobal = failure.message.dropFirst(words.count).hasPrefix("global")
        let known = Set(names.filter { isGlobal != $0.contains(".") }.compactMap { $0.split(separator: ".").last.map(String.init) })
        guard let meant = nearestName(to: name, in: known.sorted()) else { return failure }
        var failure = failure
        failure.message += ": did you mean '\(meant)'?"
        return failure
    }

    // MARK: Host functions

    /// Which limit the host function that ended the run named.
    private var hostLimit: LuaLimit?

    private func call(_ function: Int, _ count: Int) -> Int32 {
        var reader = LuaReader(sandbox.pointee.output)
        let answer = functions[function](LuaCall(sandbox: sandbox, arguments: reader.values(count)))
        switch answer {
        case .results(let values):
            for value in values { writer.value(value) }
            return Int32(SANDBOX_RETURN.rawValue)
        case .wait: return Int32(SANDBOX_WAIT.rawValue)
        case .raise(let message):
            put(message)
            return Int32(SANDBOX_RAISE.rawValue)
        case .exceed(let limit, let message):
            hostLimit = limit
            put(message)
            return Int32(SANDBOX_EXCEED.rawValue)
        }
    }

    private func put(_ message: String) {
        sandbox_clear(sandbox_input_bytes(sandbox))
        var message = message
        message.withUTF8 { sandbox_put_raw(sandbox_input_bytes(sandbox), $0.baseAddress, $0.count) }
    }
}

/// A call of a host function.
public struct LuaCall {
    private let sandbox: UnsafeMutablePointer<Sandbox>
    public let arguments: [LuaValue]

    init(sandbox: UnsafeMutablePointer<Sandbox>, arguments: [LuaValue]) {
        self.sandbox = sandbox
        self.arguments = arguments
    }

    /// The argument at a place from 0; `.none` behind the last one.
    public subscript(place: Int) -> LuaValue { place < arguments.count ? arguments[place] : .none }

    /// Whether it may be answered with `.wait`: not at load, and not where C code is between (a comparison of `table.sort`).
    public var mayWait: Bool { sandbox_may_wait(sandbox) }

    /// Instructions that the run may still use.
    public var instructionsLeft: Int64 { max(0, sandbox.pointee.left) }

    /// Counts work of the host function as instructions of the run: when they are used up, the run ends as soon as the function has answered.
    public func charge(_ instructions: Int64) { sandbox.pointee.left -= max(0, min(instructions, 1 << 40)) }

    /// Where the script calls from.
    public var place: (file: String, line: Int) {
        let line = sandbox_caller_line(sandbox)
        let chunk = sandbox.pointee.chunk
        return (String(decoding: UnsafeBufferPointer(start: chunk.base, count: line > 0 ? chunk.count : 0), as: UTF8.self), Int(line))
    }
}

/// What a host function answers.
public enum LuaAnswer: Sendable {
    case results([LuaValue])
    /// The handler waits until `resume`. Only where `LuaCall.mayWait`.
    case wait
    /// An error that the script can catch.
    case raise(String)
    /// A limit, which it cannot.
    case exceed(LuaLimit, String)

    public static let nothing = LuaAnswer.results([])
    public static func value(_ value: LuaValue) -> LuaAnswer { .results([value]) }
    /// Lua's way to tell of a failure that is no mistake of the script's: nil and a message.
    public static func failed(_ message: String) -> LuaAnswer { .results([.none, .string(message)]) }
}
