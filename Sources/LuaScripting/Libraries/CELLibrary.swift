internal import CEL
internal import RuleEngine

extension AutomationRuntime {
    private static let conditionKind: Int32 = 2

    func defineCEL(_ automation: Automation) {
        define(automation, "cel.eval") { _, automation, call in
            guard let text = call[0].text else { return .raise("wants an expression first") }
            guard let names = call[1].isNone ? [] : call[1].members else { return .raise("the names must be a table") }
            do throws(CELCondition.Mistake) {
                return Self.answer(try automation.condition(text).evaluate(names))
            } catch {
                return .raise(error.message)
            }
        }
        define(automation, "cel.compile") { _, automation, call in
            guard let text = call[0].text else { return .raise("wants an expression") }
            guard automation.compiled.count < 1000 else {
                return .raise("a script may compile 1000 expressions; keep what 'compile' gives")
            }
            do throws(CELCondition.Mistake) {
                automation.compiled.append(try automation.condition(text))
            } catch {
                return .raise(error.message)
            }
            return .value(.handle(kind: Self.conditionKind, number: Int64(automation.compiled.count - 1)))
        }
        automation.lua.defineMethod(
            "eval", ofKind: Self.conditionKind, named: "cel",
            guarded(automation, "eval") { _, automation, call in
                guard case .handle(Self.conditionKind, let number) = call[0], automation.compiled.indices.contains(Int(number)) else {
                    return .raise("is a method: call it with ':'")
                }
                guard let names = call[1].isNone ? [] : call[1].members else { return .raise("the names must be a table") }
                return Self.answer(automation.compiled[Int(number)].evaluate(names))
            })
    }

    /// A value; or nil and why there is none.
    private static func answer(_ result: Result<Value, CELCondition.Mistake>) -> LuaAnswer {
        switch result {
        case .success(let value): .value(LuaValue(value))
        case .failure(let mistake): .failed(mistake.message)
        }
    }
}
