internal import RuleEngine

extension LuaState {
    /// `json.encode`; `json.decode` and `json.null` are the sandbox's own.
    func defineJSON() {
        define("json.encode") { call in .value(.string(call[0].document.json)) }
    }
}
