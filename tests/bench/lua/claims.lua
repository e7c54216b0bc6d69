-- Workers only claim. A slot holds at most two leases, so every thread goes round the sixteen slots of its workers,
-- twice, and stops when all of them are full.
dofile("common.lua")

function init(args)
   math.randomseed(tonumber(args[3]) + number)
   mine = credentials(args[1], number, tonumber(args[2]))
   turn = 0
end

function request()
   if began == math.huge then began = now() end
   local credential = mine[1 + math.floor(turn / 16) % #mine]
   local slot = turn % 16
   turn = turn + 1
   return post("/api/v1/worker/claim", credential, claim_body(slot))
end

function response(status, headers, body)
   if status ~= 200 then complain(status, body)
   elseif lease_in(body) then count()
   else empty = empty + 1 end
   if jobs + empty + refused >= 32 * #mine then wrk.thread:stop() end
end
