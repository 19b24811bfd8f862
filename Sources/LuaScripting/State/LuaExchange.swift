internal import CLuaSandbox
public import CEL
public import RuleEngine

/// Writes values for Lua: arguments of a function, results of a host function. Nothing is put together first, so that a reading's way is short.
public struct LuaWriter {
    let bytes: UnsafeMutablePointer<sandbox_bytes>

    public func nothing() { sandbox_put_tag(bytes, Int32(SANDBOX_NIL.rawValue)) }
    public func null() { sandbox_put_tag(bytes, Int32(SANDBOX_NULL.rawValue)) }
    public func bool(_ flag: Bool) { sandbox_put_tag(bytes, Int32(flag ? SANDBOX_TRUE.rawValue : SANDBOX_FALSE.rawValue)) }
    public func int(_ value: Int64) { sandbox_put_integer(bytes, value) }
    public func double(_ value: Double) { sandbox_put_number(bytes, value) }
    public func string(_ text: String) {
        var text = text
        text.withUTF8 { string($0) }
    }
    public func string(_ utf8: UnsafeBufferPointer<UInt8>) { sandbox_put_string(bytes, utf8.baseAddress, UInt32(clamping: utf8.count)) }
    public func string(_ raw: UnsafeRawBufferPointer) { sandbox_put_string(bytes, raw.baseAddress, UInt32(clamping: raw.count)) }
    /// So many values follow.
    public func array(_ count: Int) { sandbox_put_count(bytes, Int32(SANDBOX_ARRAY.rawValue), UInt32(clamping: count)) }
    /// So many pairs of `name` and a value follow; names must differ.
    public func object(_ count: Int) { sandbox_put_count(bytes, Int32(SANDBOX_OBJECT.rawValue), UInt32(clamping: count)) }
    public func name(_ text: String) {
        var text = text
        text.withUTF8 { sandbox_put_name(bytes, $0.baseAddress, UInt32(clamping: $0.count)) }
    }
    public func name(_ raw: UnsafeRawBufferPointer) { sandbox_put_name(bytes, raw.baseAddress, UInt32(clamping: raw.count)) }
    public func function(_ function: LuaFunction) {
        sandbox_put_reference(bytes, Int32(SANDBOX_FUNCTION.rawValue), function.reference)
    }
    public func handle(kind: Int32, number: Int64) { sandbox_put_handle(bytes, kind, number) }

    public func value(_ value: LuaValue) {
        switch value {
        case .none: nothing()
        case .null: null()
        case .bool(let flag): bool(flag)
        case .int(let number): int(number)
        case .double(let number): double(number)
        case .string(let text): string(text)
        case .bytes(let raw): raw.withUnsafeBytes { string($0) }
        case .array(let elements):
            array(elements.count)
            for element in elements { self.value(element) }
        case .object(let members):
            object(members.count)
            for member in members {
                name(member.name)
                self.value(member.value)
            }
        case .function(let function): self.function(function)
        case .handle(let kind, let number): handle(kind: kind, number: number)
        }
    }

    public func value(_ document: Document) {
        switch document {
        case .null: null()
        case .bool(let flag): bool(flag)
        case .int(let number): int(number)
        case .double(let number): double(number)
        case .string(let text): string(text)
        case .instant(let instant): double(instant.seconds)
        case .array(let elements):
            array(elements.count)
            for element in elements { value(element) }
        case .object(let members):
            object(members.count)
            for member in members {
                name(member.name)
                value(member.value)
            }
        }
    }

    public func value(_ cel: Value) { value(LuaValue(cel)) }
}

/// Reads what Lua has handed over.
struct LuaReader {
    var at: UnsafeRawPointer
    let end: UnsafeRawPointer

    init(_ bytes: sandbox_bytes) {
        // The buffer has been written to, so it is there; the two pointers stay inside of it, because only the sandbox writes it.
        let base = UnsafeRawPointer(bytes.base)
        at = base ?? UnsafeRawPointer(bitPattern: 1)!
        end = base.map { $0 + bytes.count } ?? at
    }

    mutating func values(_ count: Int) -> [LuaValue] {
        var values: [LuaValue] = []
        values.reserveCapacity(count)
        for _ in 0..<count where at < end { values.append(value()) }
        return values
    }

    mutating func take<Number: BitwiseCopyable>(_: Number.Type) -> Number {
        defer { at += MemoryLayout<Number>.size }
        return at.loadUnaligned(as: Number.self)
    }

    mutating func bytes() -> UnsafeRawBufferPointer {
        let count = Int(take(UInt32.self))
        defer { at += count }
        return UnsafeRawBufferPointer(start: at, count: count)
    }

    private mutating func value() -> LuaValue {
        let tag = UInt32(take(UInt8.self))
        switch sandbox_tag(rawValue: tag) {
        case SANDBOX_FALSE: return .bool(false)
        case SANDBOX_TRUE: return .bool(true)
        case SANDBOX_INTEGER: return .int(take(Int64.self))
        case SANDBOX_NUMBER: return .double(take(Double.self))
        case SANDBOX_STRING:
            let raw = bytes()
            return String(validating: raw, as: UTF8.self).map { .string($0) } ?? .bytes(Array(raw))
        case SANDBOX_ARRAY: return .array(values(Int(take(UInt32.self))))
        case SANDBOX_OBJECT:
            let count = Int(take(UInt32.self))
            var members: [LuaValue.Member] = []
            members.reserveCapacity(count)
            for _ in 0..<count {
                let name = String(decoding: bytes(), as: UTF8.self)
                members.append(LuaValue.Member(name, value()))
            }
            return .object(members)
        case SANDBOX_NULL: return .null
        case SANDBOX_FUNCTION: return .function(LuaFunction(reference: take(Int32.self)))
        case SANDBOX_HANDLE:
            let kind = take(Int32.self)
            return .handle(kind: kind, number: take(Int64.self))
        default: return .none
        }
    }
}
