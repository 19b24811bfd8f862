internal import CLuaSandbox
import RuleEngine

extension LuaReader {
    private var tag: UInt32? { at < end ? UInt32(at.load(as: UInt8.self)) : nil }

    /// Whether nil or JSON's null comes next.
    var isAtNothing: Bool { tag.map { $0 == SANDBOX_NIL.rawValue || $0 == SANDBOX_NULL.rawValue } ?? true }
    var isAtTable: Bool { tag.map { $0 == SANDBOX_OBJECT.rawValue || $0 == SANDBOX_ARRAY.rawValue } ?? false }

    /// Writes the next value as JSON. False when it cannot be written: bytes that are no UTF-8, functions, handles.
    mutating func writeJSON(into buffer: JSONBuffer) -> Bool {
        guard at < end else { return false }
        switch sandbox_tag(rawValue: UInt32(take(UInt8.self))) {
        case SANDBOX_NIL, SANDBOX_NULL: buffer.append("null")
        case SANDBOX_FALSE: buffer.append(false)
        case SANDBOX_TRUE: buffer.append(true)
        case SANDBOX_INTEGER: buffer.append(take(Int64.self))
        case SANDBOX_NUMBER: buffer.append(take(Double.self))
        case SANDBOX_STRING: return buffer.append(string: bytes())
        case SANDBOX_ARRAY:
            let count = take(UInt32.self)
            buffer.append(UInt8(ascii: "["))
            for place in 0..<count {
                if place > 0 { buffer.append(UInt8(ascii: ",")) }
                guard writeJSON(into: buffer) else { return false }
            }
            buffer.append(UInt8(ascii: "]"))
        case SANDBOX_OBJECT:
            let count = take(UInt32.self)
            buffer.append(UInt8(ascii: "{"))
            for place in 0..<count {
                if place > 0 { buffer.append(UInt8(ascii: ",")) }
                guard buffer.append(string: bytes()) else { return false }
                buffer.append(UInt8(ascii: ":"))
                guard writeJSON(into: buffer) else { return false }
            }
            buffer.append(UInt8(ascii: "}"))
        default: return false
        }
        return true
    }
}
