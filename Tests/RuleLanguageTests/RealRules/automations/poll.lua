-- R160: every minute both garage doors are asked how they stand.
local a = automation { name = "poll", description = "asks the garage doors" }

a:every("1m", function()
  for _, door in ipairs { "large", "small" } do mqtt.publish("garage/" .. door .. "/command", "get-status") end
end)
