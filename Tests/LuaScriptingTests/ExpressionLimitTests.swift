import LuaScripting
import RuleEngine
import Testing

/// Expressions in scripts: what they cost counts for the script.
@Suite struct ExpressionLimitTests {
    private static func lines(_ body: String) -> [String] {
        let stage = Stage("automation {}:on_start(function() \(body) end)")
        return stage.lines
    }

    private static let list = "local l = {} for i = 1, 100 do l[i] = i end "

    @Test func `an expression that takes too many steps gives nil and says so`() {
        let lines = Self.lines(Self.list + "log.info(cel.eval('l.map(x, l.map(y, l.map(z, l.map(w, x))))', {l = l}))")
        #expect(lines == ["0 info nil the expression takes too many steps"])
    }

    @Test(arguments: [
        "while true do cel.eval('l.map(x, l.map(y, l.map(z, x)))', {l = l}) end",
        "local e = cel.compile('l.map(x, l.map(y, l.map(z, x)))') while true do pcall(e.eval, e, {l = l}) end",
        "local i = 0 while true do i = i + 1 cel.eval(('1 + '):rep(100) .. i) end",
    ])
    func `a script that does nothing but evaluate comes to its limit`(_ body: String) {
        let lines = Self.lines(Self.list + body)
        #expect(lines.count == 1 && lines[0].contains("fault 1 instruction limit"), "\(lines)")
    }

    @Test func `what is compiled is bounded`() {
        let long = "local long = '[' .. ('1,'):rep(7000) .. '1] == ' "
        let loop = "local ok, e = true local n = 0 repeat n = n + 1 ok, e = pcall(cel.compile, long .. n) until not ok log.info(n, e)"
        let lines = Self.lines(long + loop)
        #expect(lines.count == 1 && lines[0].contains("a script may compile 262144 bytes of expressions in all"), "\(lines)")
        let longer = Self.lines("log.info(pcall(cel.eval, (' '):rep(20000) .. '1'))")
        #expect(longer.count == 1 && longer[0].contains("an expression may have at most 16384 bytes in a script"), "\(longer)")
    }
}
